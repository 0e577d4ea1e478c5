//! The one task that owns the signaling endpoint: everything that happens to calls passes here, in order.
//!
//! ```text
//! datagrams ─┐                     ┌─> datagrams
//! gateway's events ─┤  ┌──────────┐  ├─> gateway's commands
//! requests ─┼─>│ Endpoint │──┼─> store (rows, events, CDRs)
//! durable notes ─┤  └──────────┘  ├─> name look-ups
//! names, time ─┘                     └─> measurements
//! ```
//!
//! It never waits for a disk, a name service or an application.

mod calls;
mod gateway;
mod outputs;
mod request;

use std::sync::Arc;
use std::time::Duration;

use duogate_channel::event::Event;
use duogate_channel::identity::Shard;
use duogate_channel::quality::Fault;
use duogate_channel::ring::Poisoned;
use duogate_channel::sides::ControlSide;
use duogate_signaling::clock::Now;
use duogate_signaling::endpoint::{Endpoint, Query};
use duogate_signaling::resource::view::View;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::clock;
use crate::media::link::{Link, LinkEvent};
use crate::media::recordings::Recordings;
use crate::metrics::{CallMetrics, Pages};
use crate::names::{Finder, Located, Names};
use crate::network::{self, Heard, Network};
use crate::recovery::{self, Inherited, Orphan};
use crate::store::Store;
use calls::{Calls, Noted};
use gateway::Gateway;
pub(crate) use request::{ActionStart, Order, Refusal, Request, Status, Switchboard};

/// Requests and durable notes handled before all else has its turn again.
const BATCH: usize = 64;

/// Batches of events read from a ring whose gateway has gone: all that its 4,096 places can hold.
const LAST_BATCHES: usize = 16;

/// How soon a full command ring is tried again.
const BACKLOG_PAUSE: Duration = Duration::from_millis(2);

/// Without a deadline of the endpoint, the loop turns this often.
const IDLE: Duration = Duration::from_secs(60);

/// The way to other SIP elements.
#[derive(Debug)]
pub(crate) struct Outside {
    /// SIP sockets.
    pub(crate) network: Network,
    /// What their streams bring.
    pub(crate) heard: mpsc::Receiver<Heard>,
    /// Finds hosts.
    pub(crate) finder: Finder,
}

/// What the switchboard works with.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The way to other SIP elements.
    pub(crate) outside: Outside,
    /// The gateway's link.
    pub(crate) link: Link,
    /// What the link tells.
    pub(crate) link_events: mpsc::Receiver<LinkEvent>,
    /// Requests of the interfaces.
    pub(crate) requests: mpsc::Receiver<Request>,
    /// Calls that a former process left behind and that the endpoint goes on with.
    pub(crate) inherited: Vec<Inherited>,
    /// Those that are to be ended.
    pub(crate) orphans: Vec<Orphan>,
    /// The store.
    pub(crate) store: Store,
    /// Files of recordings.
    pub(crate) recordings: Arc<Recordings>,
    /// Figures.
    pub(crate) metrics: CallMetrics,
    /// Where the shards' pages are shown to the metrics.
    pub(crate) pages: Pages,
}

/// The task's state.
pub(crate) struct Task {
    endpoint: Endpoint,
    network: Network,
    heard: mpsc::Receiver<Heard>,
    gateway: Gateway,
    attached: bool,
    /// The life of the gateway that is or was attached last.
    epoch: Option<u64>,
    link: Link,
    link_events: mpsc::Receiver<LinkEvent>,
    requests: mpsc::Receiver<Request>,
    orphans: Vec<Orphan>,
    names: Names,
    located: mpsc::Receiver<Located>,
    /// Questions that found no room.
    unlocated: Vec<Query>,
    calls: Calls,
    noted: mpsc::Receiver<Noted>,
    furnished: mpsc::Receiver<u64>,
    pages: Pages,
    metrics: CallMetrics,
    events: Vec<Event>,
}

/// What ended a wait.
enum Wake {
    Datagrams(usize),
    Heard(Heard),
    Shard(Result<usize, Poisoned>),
    Request(Option<Request>),
    Noted(Noted),
    /// The gateway of this life has what calls need.
    Furnished(u64),
    Located(Located),
    Link(LinkEvent),
    Time,
}

impl Task {
    /// Puts the parts around an endpoint.
    pub(crate) fn new(endpoint: Endpoint, parts: Parts) -> Self {
        let (names, located) = Names::new(parts.outside.finder);
        let (mut calls, noted, furnished) = Calls::new(parts.store, parts.recordings, parts.link.clone());
        parts.inherited.into_iter().for_each(|call| calls.inherit(call));
        Self {
            endpoint,
            network: parts.outside.network,
            heard: parts.outside.heard,
            gateway: Gateway::default(),
            attached: false,
            epoch: None,
            link: parts.link,
            link_events: parts.link_events,
            requests: parts.requests,
            orphans: parts.orphans,
            names,
            located,
            unlocated: Vec::new(),
            calls,
            noted,
            furnished,
            pages: parts.pages,
            metrics: parts.metrics,
            events: Vec::with_capacity(gateway::BATCH),
        }
    }

    /// Runs until every handle on the switchboard is gone.
    pub(crate) async fn run(mut self) {
        // What taking calls over has brought.
        self.drain();
        self.end_orphans();
        loop {
            self.settle();
            match self.wait().await {
                Wake::Request(None) => return,
                Wake::Request(Some(request)) => self.requests_in(request),
                Wake::Datagrams(index) => self.datagrams_in(index),
                Wake::Heard(heard) => self.streams_in(heard),
                Wake::Shard(Ok(index)) => {
                    self.events_in(index);
                }
                Wake::Shard(Err(error)) => self.distrust(&error.to_string()),
                Wake::Noted(noted) => self.notes_in(noted),
                Wake::Furnished(epoch) if self.attached && self.epoch == Some(epoch) => {
                    self.endpoint.media_furnished(clock::now());
                    self.drain();
                }
                Wake::Furnished(_) => {}
                Wake::Located(Located { query, name, found }) => {
                    for place in found.iter().flatten() {
                        self.network.located(&name, place.address);
                    }
                    self.endpoint.located(clock::now(), query, found);
                    self.drain();
                }
                Wake::Link(event) => self.link_in(event),
                Wake::Time => {}
            }
            if self.endpoint.next_deadline().is_some_and(|deadline| deadline <= clock::instant()) {
                self.endpoint.advance(clock::now());
                self.drain();
            }
        }
    }

    /// Before anything of theirs is read, so that their parties' answers find them.
    fn end_orphans(&mut self) {
        for Orphan { row, port } in std::mem::take(&mut self.orphans) {
            if self.endpoint.end_orphan(clock::now(), &row, port, recovery::CAUSE).is_err() {
                tracing::warn!(call_id = row.call_id, "a call of a former control plane cannot be ended");
            }
            self.drain();
        }
    }

    async fn wait(&mut self) -> Wake {
        let mut patience = self.endpoint.next_deadline().map_or(IDLE, clock::until);
        if self.gateway.has_backlog() {
            patience = patience.min(BACKLOG_PAUSE);
        }
        let time = tokio::time::sleep_until(Instant::now() + patience);
        tokio::select! {
            index = self.network.readable() => Wake::Datagrams(index),
            Some(heard) = self.heard.recv() => Wake::Heard(heard),
            shard = self.gateway.ready() => Wake::Shard(shard),
            request = self.requests.recv() => Wake::Request(request),
            Some(noted) = self.noted.recv() => Wake::Noted(noted),
            Some(epoch) = self.furnished.recv() => Wake::Furnished(epoch),
            Some(located) = self.located.recv() => Wake::Located(located),
            Some(event) = self.link_events.recv() => Wake::Link(event),
            () = time => Wake::Time,
        }
    }

    fn datagrams_in(&mut self, index: usize) {
        for _ in 0..network::BATCH {
            let Some((listener, source, bytes)) = self.network.receive(index) else { return };
            self.endpoint.receive(clock::now(), listener, source, bytes);
            self.drain();
        }
    }

    /// What streams bring, a batch at a time.
    fn streams_in(&mut self, first: Heard) {
        let mut next = Some(first);
        for _ in 0..network::BATCH {
            let Some(heard) = next else { return };
            self.stream_in(heard);
            next = self.heard.try_recv().ok();
        }
        if let Some(heard) = next {
            self.stream_in(heard);
        }
    }

    fn stream_in(&mut self, heard: Heard) {
        self.network.heard(&heard);
        if let Some((listener, peer)) = heard.unreachable() {
            self.endpoint.unreachable(clock::now(), listener, peer);
        }
        if let Heard::Message { listener, source, bytes } = heard {
            self.endpoint.receive(clock::now(), listener, source, &bytes);
        }
        self.drain();
    }

    /// Takes a batch of a shard's events; tells whether there were any.
    fn events_in(&mut self, index: usize) -> bool {
        let mut events = std::mem::take(&mut self.events);
        let outcome = self.gateway.take(index, &mut events);
        let shard = Shard(u16::try_from(index).unwrap_or(u16::MAX));
        let any = !events.is_empty();
        for event in events.drain(..) {
            self.log_fault(shard, &event);
            self.endpoint.media(clock::now(), shard, event);
            self.drain();
        }
        self.events = events;
        if let Err(error) = outcome {
            self.distrust(&error.to_string());
        }
        any
    }

    /// What a gateway wrote before it went is still in the rings: how its recordings ended, above all.
    fn last_words(&mut self) {
        for index in 0..self.gateway.sessions().len() {
            for _ in 0..LAST_BATCHES {
                if !self.events_in(index) {
                    break;
                }
            }
        }
    }

    /// The gateway wrote what cannot be: nothing of this attachment is used any more.
    fn distrust(&mut self, reason: &str) {
        tracing::error!(reason, "the channel to the gateway is unusable; attaching anew");
        self.gateway = Gateway::default();
        self.link.reset();
    }

    fn notes_in(&mut self, first: Noted) {
        let mut next = Some(first);
        for _ in 0..BATCH {
            let Some(noted) = next else { return };
            self.calls.answer(&mut self.endpoint, noted);
            self.drain();
            next = self.noted.try_recv().ok();
        }
        if let Some(noted) = next {
            self.calls.answer(&mut self.endpoint, noted);
            self.drain();
        }
    }

    fn link_in(&mut self, event: LinkEvent) {
        let now = clock::now();
        match event {
            LinkEvent::Attached { epoch, shards } => self.attached(now, epoch, shards),
            LinkEvent::Lost => {
                self.last_words();
                // Rings that were poisoned say that something is wrong with a gateway that lives.
                let distrusted = self.gateway.is_none();
                let left = std::mem::take(&mut self.gateway).snapshots();
                self.pages.hide();
                match (std::mem::take(&mut self.attached), distrusted) {
                    (true, false) => self.endpoint.media_away(now, &left),
                    (true, true) => self.endpoint.media_lost(now),
                    (false, _) => {}
                }
            }
        }
        self.drain();
    }

    fn attached(&mut self, now: Now, epoch: u64, shards: Vec<ControlSide>) {
        self.pages.show(&shards);
        let gateway = match Gateway::attach(shards) {
            Ok(gateway) => gateway,
            Err(error) => return self.distrust(&error.to_string()),
        };
        if self.epoch == Some(epoch) {
            // It had only hung up. Its sessions are closed by now, and their ports rest: nothing can go on.
            self.endpoint.media_lost(now);
            self.drain();
        }
        self.epoch = Some(epoch);
        let (sessions, pages) = (gateway.sessions(), gateway.pages());
        self.gateway = gateway;
        self.attached = true;
        self.endpoint.media_found(now, &sessions, &pages);
        self.calls.furnish(epoch);
    }

    fn requests_in(&mut self, first: Request) {
        self.request_in(first);
        for _ in 1..BATCH {
            let Ok(request) = self.requests.try_recv() else { return };
            self.request_in(request);
        }
    }

    /// Answers one request. Whoever has gone meanwhile does not get its answer: that is no error.
    fn request_in(&mut self, request: Request) {
        let now = clock::now();
        match request {
            Request::Check(parameters, reply) => {
                let _ = reply.send(self.endpoint.check(now, &parameters));
            }
            Request::Construct(order, reply) => self.calls.construct(&mut self.endpoint, now, *order, reply),
            Request::CheckAction(res_id, method, parameters, reply) => {
                let _ = reply.send(self.endpoint.check_action(&res_id, method, &parameters));
            }
            Request::StartAction(start, reply) => self.calls.start(&mut self.endpoint, now, *start, reply),
            Request::StopAction(res_id, method, parameters, reply) => {
                let _ = reply.send(self.endpoint.stop_action(now, &res_id, method, &parameters));
            }
            Request::Cancel(res_id, reply) => {
                let _ = reply.send(self.endpoint.cancel(now, &res_id));
            }
            Request::Drop(res_id, cause, reply) => {
                let _ = reply.send(self.endpoint.drop_call(now, &res_id, cause));
            }
            Request::Get(res_id, reply) => {
                let _ = reply.send(self.endpoint.get(&res_id).map(|view| self.with_quality(view)));
            }
            Request::List(state, cursor, limit, reply) => {
                let _ = reply.send(self.endpoint.list(state, cursor.as_deref(), limit));
            }
            Request::Drain(draining, reply) => {
                self.endpoint.drain(draining);
                let _ = reply.send(());
            }
            Request::Reload(settings, reply) => {
                self.endpoint.reload(now, *settings);
                let _ = reply.send(());
            }
            Request::Status(reply) => {
                let _ = reply.send(self.status());
            }
            Request::ShutDown => self.endpoint.shut_down(now),
            Request::LeaveTrunks => self.endpoint.leave_trunks(now),
        }
        self.drain();
    }

    /// Adds how the legs are carried now, as the gateway's page shows it.
    fn with_quality(&self, mut view: View) -> View {
        let session = self.endpoint.session_of(&view.res_id);
        let Some(snapshot) = session.and_then(|(shard, session)| self.gateway.snapshot(shard, session))
        else {
            return view;
        };
        let carried = self.endpoint.carried(&view.res_id, snapshot.legs.map(|leg| leg.statistics));
        for (party, carried) in view.parties.iter_mut().zip(carried) {
            party.quality = party.quality.or(Some(carried));
        }
        view
    }

    /// What is wrong with a party's sound is for whoever looks after its trunk.
    fn log_fault(&self, shard: Shard, event: &Event) {
        let Event::Fault { session, party, fault } = event else { return };
        let Some(res_id) = self.endpoint.resource_of(shard, *session) else { return };
        let party = party.number();
        match fault {
            Some(Fault::Absent) => {
                tracing::warn!(%res_id, party, "one-way sound: nothing comes from this party");
            }
            Some(Fault::Mute) => {
                tracing::warn!(%res_id, party, "one-way sound: only silence comes from this party while the other talks");
            }
            None => tracing::info!(%res_id, party, "sound comes from this party again"),
        }
    }

    fn status(&self) -> Status {
        Status {
            counters: self.endpoint.counters().clone(),
            draining: self.endpoint.draining(),
            attached: self.attached,
            untold: self.calls.untold(),
            trunks: self.endpoint.trunk_figures(clock::now()),
            shard_sessions: self.endpoint.shard_sessions(),
        }
    }
}
