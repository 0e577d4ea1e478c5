//! The interfaces over HTTP: JSON-RPC for applications, REST for operators, pages for people.

mod actions;
mod calls;
mod cdrs;
mod construct;
mod error;
pub(crate) mod listener;
mod openapi;
mod pages;
mod parameters;
mod rest;
mod rpc;
mod tokens;
mod transport;
mod websocket;

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{MethodRouter, get, post};
use duogate_configuration::Configuration;
use prometheus::Registry;
use tokio::sync::{Semaphore, watch};

use crate::events::Hub;
use crate::media::link::Link;
use crate::media::recordings::Recordings;
use crate::media::sounds::Sounds;
use crate::metrics::{EndpointFigures, Pages};
use crate::network::Papers;
use crate::store::{Reader, Store};
use crate::switchboard::Switchboard;
use construct::Turns;
use tokens::Tokens;

/// Largest body of a request, in bytes.
pub(crate) const LARGEST_BODY: usize = 64 << 10;

/// HTTP requests worked on at once. Each may hold a body of 64 KiB: 64 MiB in all.
const AT_ONCE: usize = 1_024;

/// What the handlers work with.
#[derive(Debug)]
pub(crate) struct Interface {
    /// The calls.
    pub(crate) switchboard: Switchboard,
    /// What was.
    pub(crate) reader: Reader,
    /// For what is collected.
    pub(crate) store: Store,
    /// Prompts.
    pub(crate) sounds: Arc<Sounds>,
    /// Recordings.
    pub(crate) recordings: Arc<Recordings>,
    /// The gateway.
    pub(crate) link: Link,
    /// Events.
    pub(crate) hub: Hub,
    /// The shards' pages.
    pub(crate) pages: Pages,
    /// The endpoint's figures.
    pub(crate) figures: EndpointFigures,
    /// All metrics.
    pub(crate) registry: Registry,
    /// Turns true when the program is about to end.
    pub(crate) closing: watch::Receiver<bool>,
    papers: Papers,
    settings: ArcSwap<Configuration>,
    tokens: ArcSwap<Tokens>,
    file: PathBuf,
    turns: Turns,
    at_once: Semaphore,
}

/// What an interface is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) switchboard: Switchboard,
    pub(crate) reader: Reader,
    pub(crate) store: Store,
    pub(crate) sounds: Arc<Sounds>,
    pub(crate) recordings: Arc<Recordings>,
    pub(crate) link: Link,
    pub(crate) hub: Hub,
    pub(crate) pages: Pages,
    pub(crate) figures: EndpointFigures,
    pub(crate) registry: Registry,
    pub(crate) closing: watch::Receiver<bool>,
    /// Certificates and keys of SIP.
    pub(crate) papers: Papers,
    /// The configuration, and the file that it was read from.
    pub(crate) configuration: (Configuration, PathBuf),
}

impl Interface {
    /// Puts the parts together.
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let (configuration, file) = parts.configuration;
        let tokens = Tokens::new(configuration.http.tokens.clone());
        Arc::new(Self {
            switchboard: parts.switchboard,
            reader: parts.reader,
            store: parts.store,
            sounds: parts.sounds,
            recordings: parts.recordings,
            link: parts.link,
            hub: parts.hub,
            pages: parts.pages,
            figures: parts.figures,
            registry: parts.registry,
            closing: parts.closing,
            papers: parts.papers,
            settings: ArcSwap::from_pointee(configuration),
            tokens: ArcSwap::from_pointee(tokens),
            file,
            turns: Turns::default(),
            at_once: Semaphore::new(AT_ONCE),
        })
    }

    fn settings(&self) -> Guard<Arc<Configuration>> {
        self.settings.load()
    }
}

/// One route: its path, as axum and as OpenAPI write it, and what answers there.
type Route = (&'static str, &'static [&'static str], MethodRouter<Arc<Interface>>);

/// Every route with its methods. `openapi.rs` describes each; a test compares the two.
fn routes() -> Vec<Route> {
    vec![
        ("/rpc", &["get", "post"], post(transport::post).get(transport::upgrade)),
        ("/v1/callbacks", &["get"], get(rest::callbacks)),
        ("/v1/callbacks/{res_id}", &["get", "delete"], get(rest::callback).delete(rest::end_callback)),
        ("/v1/cdrs", &["get"], get(cdrs::cdrs)),
        ("/v1/recordings/{res_id}", &["get"], get(rest::recording)),
        ("/v1/trunks", &["get"], get(rest::trunks)),
        ("/v1/shards", &["get"], get(rest::shards)),
        (
            "/v1/drain",
            &["get", "post", "delete"],
            get(rest::drain).post(rest::begin_drain).delete(rest::end_drain),
        ),
        ("/v1/reload", &["post"], post(rest::reload)),
        ("/healthz", &["get"], get(pages::healthz)),
        ("/readyz", &["get"], get(pages::readyz)),
        ("/metrics", &["get"], get(pages::metrics)),
        ("/openapi.json", &["get"], get(openapi::serve)),
        ("/", &["get"], get(pages::console)),
    ]
}

/// The whole interface as a service.
pub(crate) fn router(interface: Arc<Interface>) -> Router {
    let mut router = Router::new();
    for (path, _, methods) in routes() {
        router = router.route(path, methods);
    }
    router
        .fallback(pages::nothing_here)
        .method_not_allowed_fallback(pages::not_that_method)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&interface), transport::guard))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(interface)
}
