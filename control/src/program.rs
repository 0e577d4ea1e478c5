//! Starts everything, waits for the end, ends everything.

use std::error::Error;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use duogate_configuration::Configuration;
use duogate_signaling::endpoint::Endpoint;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

use crate::api::listener::Bounded;
use crate::api::{self, Interface};
use crate::events::Hub;
use crate::media::link;
use crate::media::recordings::Recordings;
use crate::media::sounds::Sounds;
use crate::metrics::{CallMetrics, EndpointFigures, Pages, StoreMetrics, register};
use crate::names::Finder;
use crate::network::{Network, Papers};
use crate::store::rows::{EventRow, Keeping};
use crate::store::{self, Opened, Store};
use crate::switchboard::{self, Outside, Status, Switchboard};
use crate::webhooks::{WebhookMetrics, Webhooks};
use crate::{clock, recovery, settings, supervisor};

type Failure = Box<dyn Error + Send + Sync>;

/// Jobs that may wait for the store, for each call that may be under way: its rows and events.
const JOBS_PER_CALL: usize = 16;

/// Room for jobs even where few calls are allowed.
const LEAST_JOBS: usize = 16_384;

/// Events that were committed and wait for the hub, which never waits itself.
const COMMITTED: usize = 65_536;

/// How long calls may take to end once they were told to: two seconds of answers from the gateway and a few
/// retransmissions of BYE.
const ENDING: Duration = Duration::from_secs(8);

/// The same for who is told twice: the gateway's answers, which take milliseconds, so that no event is left owing.
const HASTE: Duration = Duration::from_secs(1);

/// How long registrars may take to let us go.
const LEAVING: Duration = Duration::from_secs(2);

/// How long interfaces and store may take to end.
const CLOSING: Duration = Duration::from_secs(5);

/// What runs.
struct Running {
    interface: Arc<Interface>,
    switchboard: Switchboard,
    store: Store,
    hub: Hub,
    closing: watch::Sender<bool>,
    server: JoinHandle<()>,
    grace: Duration,
}

/// Runs the control plane until it is told to end.
pub(crate) async fn run(configuration: Configuration, file: PathBuf) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    // One provider for all of TLS; that another was installed before cannot be, and would do as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let running = start(configuration, file).await?;
    supervisor::ready();
    let watchdog = tokio::spawn(watchdog(running.switchboard.clone()));
    loop {
        match signals.next().await {
            Told::End => break,
            Told::Reload => {
                supervisor::reloading();
                if let Err(failure) = running.interface.reload().await {
                    tracing::error!(error = %failure.object(), "the configuration was not taken");
                }
                supervisor::ready();
            }
        }
    }
    supervisor::stopping();
    let outcome = stop(running, &mut signals).await;
    watchdog.abort();
    outcome
}

async fn start(configuration: Configuration, file: PathBuf) -> Result<Running, Failure> {
    let registry = Registry::new();
    // First of all: a second process on the same ports or the same store must find out before it touches what
    // the first one works with.
    let (outside, papers, listener) = bind(&configuration, &registry).await?;
    let (commit, committed) = mpsc::channel(COMMITTED);
    let mut opened = open_store(&configuration, commit, &registry)?;
    let (events, link_events) = mpsc::channel(16);
    let (link, link_task) = link::link(&configuration.channel.socket, events);
    let (recordings, sounds) = open_media(&configuration, &link)?;
    let mut endpoint = Endpoint::new(settings::signaling(&configuration), seed(), clock::now());
    let inherited = recovery::take_over(&mut endpoint, clock::now(), &mut opened.left_open, &recordings);
    let orphans = recovery::orphans(&opened.left_open, clock::unix_milliseconds());
    let estate = recovery::Estate {
        open: std::mem::take(&mut opened.left_open),
        recordings: Arc::clone(&recordings),
        store: opened.store.clone(),
        link: link.clone(),
    };
    let (switchboard, requests) = Switchboard::new();
    let pages = Pages::new(&registry)?;
    let parts = switchboard::Parts {
        outside,
        link: link.clone(),
        link_events,
        requests,
        inherited,
        orphans,
        store: opened.store.clone(),
        recordings: Arc::clone(&recordings),
        metrics: CallMetrics::new(&registry)?,
        pages: pages.clone(),
    };
    tokio::spawn(switchboard::Task::new(endpoint, parts).run());
    tokio::spawn(link_task.run());
    tokio::spawn(estate.settle());
    tokio::spawn(announce(link.clone(), configuration.clone()));
    let hub = deliver(&configuration, &opened, committed, &registry)?;

    let (closing, closed) = watch::channel(false);
    let grace = Duration::from_secs(configuration.shutdown.grace_seconds.into());
    let interface = Interface::new(api::Parts {
        switchboard: switchboard.clone(),
        reader: opened.reader,
        store: opened.store.clone(),
        sounds,
        recordings,
        link,
        hub: hub.clone(),
        pages,
        figures: EndpointFigures::new(&registry)?,
        registry,
        closing: closed.clone(),
        papers,
        configuration: (configuration, file),
    });
    let server = tokio::spawn(listener.serve(api::router(Arc::clone(&interface)), closed));
    Ok(Running { interface, switchboard, store: opened.store, hub, closing, server, grace })
}

async fn bind(
    configuration: &Configuration,
    registry: &Registry,
) -> Result<(Outside, Papers, Bounded), Failure> {
    let refused = IntCounter::new("duogate_sip_send_failures_total", "SIP messages that could not be sent");
    let (network, heard) = Network::bind(configuration, register(registry, refused)?)?;
    let listener = TcpListener::bind(configuration.http.listen)
        .await
        .map_err(|error| format!("http.listen: {}: {error}", configuration.http.listen))?;
    let papers = network.papers();
    let outside = Outside { network, heard, finder: Finder::new(&configuration.sip) };
    Ok((outside, papers, Bounded::new(listener, configuration.limits.max_websockets as usize)))
}

fn open_media(
    configuration: &Configuration,
    link: &link::Link,
) -> Result<(Arc<Recordings>, Arc<Sounds>), Failure> {
    let media = &configuration.media;
    let most_bytes = u64::from(media.manifest_megabytes) << 20;
    let recordings = Recordings::open(&media.recordings, most_bytes);
    let recordings = in_folder("media.recordings", &media.recordings, recordings)?;
    let longest = configuration.limits.prompt_seconds;
    let kept = configuration.limits.prompt_megabytes as usize * (1 << 20);
    let sounds = Sounds::open(&media.prompts, longest, kept, link.clone());
    let sounds = in_folder("media.prompts", &media.prompts, sounds)?;
    sounds.also(&crate::settings::all_codecs(configuration));
    Ok((Arc::new(recordings), Arc::new(sounds)))
}

/// Starts what brings events to the applications.
fn deliver(
    configuration: &Configuration,
    opened: &Opened,
    committed: mpsc::Receiver<Arc<EventRow>>,
    registry: &Registry,
) -> Result<Hub, Failure> {
    let limits = &configuration.limits;
    let hub = Hub::new(limits.max_websockets as usize, limits.websocket_queue as usize);
    let posts = webhook_metrics(registry)?;
    let webhooks = Webhooks::new(&configuration.webhook, opened.store.clone(), opened.reader.clone(), posts)?;
    tokio::spawn(webhooks.clone().run());
    tokio::spawn(hub.clone().run(committed, webhooks));
    Ok(hub)
}

fn open_store(
    configuration: &Configuration,
    committed: mpsc::Sender<Arc<EventRow>>,
    registry: &Registry,
) -> Result<Opened, Failure> {
    let settings = &configuration.store;
    let keeping = Keeping {
        released_seconds: settings.keep_released_seconds.into(),
        events_seconds: settings.keep_events_seconds.into(),
        events: configuration.limits.uncollected_events.into(),
        webhook_events: configuration.limits.webhook_events.into(),
        webhook_events_per_host: configuration.limits.webhook_events_per_host.into(),
        cdrs_seconds: settings.keep_cdrs_seconds.into(),
    };
    let room = (configuration.limits.max_calls as usize * JOBS_PER_CALL).max(LEAST_JOBS);
    let metrics = Arc::new(StoreMetrics::new(registry)?);
    store::open(&settings.path, keeping, room, committed, metrics)
        .map_err(|error| format!("store.path: {}: {error}", settings.path.display()).into())
}

fn in_folder<T>(key: &str, path: &Path, outcome: std::io::Result<T>) -> Result<T, Failure> {
    outcome.map_err(|error| match error.kind() {
        // What `mkdir` says of a file in its place.
        ErrorKind::AlreadyExists => format!("{key}: {} is not a folder", path.display()).into(),
        _ => format!("{key}: {}: {error}", path.display()).into(),
    })
}

fn webhook_metrics(registry: &Registry) -> Result<WebhookMetrics, Failure> {
    let posts = Opts::new("duogate_webhook_posts_total", "Events posted to webhooks, by outcome");
    let waiting = IntGauge::new(
        "duogate_webhooks_waiting",
        "Callbacks whose webhook did not take an event and is tried again later",
    );
    Ok(WebhookMetrics {
        posts: register(registry, IntCounterVec::new(posts, &["outcome"]))?,
        waiting: register(registry, waiting)?,
    })
}

/// Randomness for every identifier that the endpoint makes.
fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    // Each UUID carries 122 bits of the system's randomness.
    for part in seed.chunks_exact_mut(16) {
        part.copy_from_slice(Uuid::new_v4().as_bytes());
    }
    seed
}

/// Says in the log when calls are taken: sockets are bound by now, the gateway may come later.
async fn announce(link: link::Link, configuration: Configuration) {
    if link.attached().await {
        let sip: Vec<String> = configuration.sip.listen.iter().map(ToString::to_string).collect();
        tracing::info!(http = %configuration.http.listen, sip = sip.join(","), "ready");
    }
}

/// Tells the supervisor that the switchboard still answers; if it does not, the supervisor restarts us.
async fn watchdog(switchboard: Switchboard) {
    let Some(every) = supervisor::watchdog() else { return };
    loop {
        // Waits in the queue: one that is full is no sign of death, one that stands still is.
        if switchboard.status_in_turn().await.is_ok() {
            supervisor::alive();
        }
        tokio::time::sleep(every).await;
    }
}

/// Ends in good order: no new calls, time for those under way, BYE for the rest, events and rows to the disk.
async fn stop(running: Running, signals: &mut Signals) -> Result<(), Failure> {
    let Running { interface, switchboard, store, hub, closing, server, grace } = running;
    tracing::info!(grace_seconds = grace.as_secs(), "ending: no new calls are taken");
    tokio::select! {
        () = drained(&switchboard, grace) => {
            switchboard.shut_down().await;
            calls_over(&switchboard, ENDING).await;
        }
        () = signals.end() => {
            tracing::warn!("told twice: ending at once");
            switchboard.shut_down().await;
            calls_over(&switchboard, HASTE).await;
        }
    }
    switchboard.leave_trunks().await;
    until_status(&switchboard, LEAVING, |status| {
        status.trunks.iter().all(|trunk| trunk.registered != Some(true))
    })
    .await;
    // Events that were reported are on the disk, then with their listeners, before those are sent away.
    let _ = timeout(CLOSING, store.settled()).await;
    let _ = timeout(CLOSING, hub.settled()).await;
    closing.send_replace(true);
    if timeout(CLOSING, hub.deserted()).await.is_err() {
        tracing::warn!("some WebSockets did not take their last events in time");
    }
    if timeout(CLOSING, server).await.is_err() {
        tracing::warn!("some HTTP connections did not end in time");
    }
    drop(interface);
    match timeout(CLOSING, store.close()).await {
        Ok(Ok(())) => tracing::info!("ended"),
        Ok(Err(broken)) => return Err(format!("the store could not be flushed: {broken}").into()),
        Err(_) => return Err("the store could not be flushed in time".into()),
    }
    Ok(())
}

/// Takes no new calls, and waits until those under way are over, at most so long.
async fn drained(switchboard: &Switchboard, patience: Duration) {
    // If the task has ended, so have all calls.
    let _ = timeout(patience, switchboard.drain_in_turn()).await;
    calls_over(switchboard, patience).await;
}

/// Waits until no callback owes an event any more, at most so long.
async fn calls_over(switchboard: &Switchboard, patience: Duration) {
    until_status(switchboard, patience, |status| status.untold == 0).await;
}

/// Waits until things stand so, at most so long.
async fn until_status(switchboard: &Switchboard, patience: Duration, is_so: impl Fn(&Status) -> bool) {
    let over = async {
        let mut look = tokio::time::interval(Duration::from_millis(50));
        loop {
            look.tick().await;
            match switchboard.status_in_turn().await {
                Ok(status) if !is_so(&status) => {}
                _ => return,
            }
        }
    };
    // What is not so by then is left.
    let _ = timeout(patience, over).await;
}

/// What a signal means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Told {
    End,
    Reload,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::End,
            _ = self.interrupt.recv() => Told::End,
            _ = self.hang_up.recv() => Told::Reload,
        }
    }

    /// The program is to end.
    async fn end(&mut self) {
        while self.next().await != Told::End {}
    }
}
