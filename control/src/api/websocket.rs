//! `GET /rpc`: requests in, responses and events out, over one connection.
//!
//! An event leaves the outbox when the peer has answered a ping that was sent after it: then it has read the
//! event, which the kernel's taking it does not say.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::Interface;
use super::rpc::{Answer, Context};
use super::tokens::Caller;
use crate::events::Listening;
use crate::store::rows::{Change, EventRow};
use crate::store::{self, Job, Reader};

/// Larger ones, up to this, are read to be refused in words; still larger ones end the connection.
pub(crate) const LARGEST_READ: usize = 2 * LARGEST_MESSAGE;

/// Largest message that is taken; as for POST.
pub(crate) const LARGEST_MESSAGE: usize = super::LARGEST_BODY;

/// Requests of one connection that are worked on at once. Further ones wait in the socket.
const AT_ONCE: usize = 32;

/// How long the peer may take to make room for one message.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it may take over the closing frame.
const FAREWELL: Duration = Duration::from_secs(2);

/// How often a quiet connection is tried.
const PING_EVERY: Duration = Duration::from_secs(20);

/// A ping follows so many events, or so much time after the first of them.
const COLLECT: (usize, Duration) = (64, Duration::from_millis(200));

/// Events that were sent and not confirmed, at most: the peer reads, but does not answer pings.
const UNCONFIRMED: usize = 65_536;

/// Events that are read from the outbox at a time.
const REPLAY: u32 = 256;

/// Pings without an answer, [`COLLECT`] events each, with which no more is read from the outbox: what waits there is
/// handed on as fast as the peer confirms it, and what happens meanwhile goes beside it.
const AHEAD: usize = 32;

/// Why a connection ends.
enum End {
    /// The peer has gone.
    Gone,
    /// It is told why.
    Closed(u16, &'static str),
}

struct Connection {
    interface: Arc<Interface>,
    socket: WebSocket,
    caller: Caller,
    id: u64,
    too_slow: watch::Receiver<bool>,
    /// What is on its way from the outbox.
    replay: Option<Replay>,
    /// Events sent since the last ping.
    sent: Vec<String>,
    /// Pings that were not answered, each with the events before it.
    pings: VecDeque<(u64, Vec<String>)>,
    next_ping: u64,
}

/// Serves a connection to its end.
pub(crate) async fn serve(
    interface: Arc<Interface>,
    socket: WebSocket,
    caller: Caller,
    listening: Listening,
) {
    let Listening { id, events, too_slow } = listening;
    let mut connection = Connection {
        interface,
        socket,
        caller,
        id,
        too_slow,
        replay: None,
        sent: Vec::new(),
        pings: VecDeque::new(),
        next_ping: 0,
    };
    let end = connection.run(events).await;
    if let End::Closed(code, reason) = end {
        let frame = CloseFrame { code, reason: reason.into() };
        let farewell = connection.socket.send(Message::Close(Some(frame)));
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }
    // Last of all: when the program ends, it waits for this.
    connection.interface.hub.leave(id);
}

impl Connection {
    async fn run(&mut self, events: mpsc::Receiver<Arc<EventRow>>) -> End {
        let mut work: JoinSet<Answer> = JoinSet::new();
        let end = self.exchange(events, &mut work).await;
        // What was asked for is done also if nobody waits for the answer any more.
        work.detach_all();
        end
    }

    async fn exchange(
        &mut self,
        mut events: mpsc::Receiver<Arc<EventRow>>,
        work: &mut JoinSet<Answer>,
    ) -> End {
        let mut ping = tokio::time::interval(PING_EVERY);
        let mut collect = tokio::time::interval(COLLECT.1);
        let mut shutdown = self.interface.closing.clone();
        loop {
            let outcome = tokio::select! {
                message = self.socket.recv(), if work.len() < AT_ONCE => match message {
                    Some(Ok(message)) => self.take(message, work),
                    // The peer may have gone, or sent what is no message; it is told in case it is still there.
                    Some(Err(_)) => Err(End::Closed(close_code::PROTOCOL, "not a message, or far too large")),
                    None => Err(End::Gone),
                },
                Some(answer) = work.join_next() => match answer {
                    Ok(answer) => self.answer(answer).await,
                    Err(_) => Ok(()),
                },
                event = next(&mut events) => self.event(&event).await,
                page = page(&mut self.replay), if self.pings.len() < AHEAD => self.replayed(page).await,
                _ = self.too_slow.changed() => Err(too_slow()),
                _ = ping.tick() => self.send(Message::Ping(axum::body::Bytes::new())).await,
                _ = collect.tick() => match self.known() {
                    Ok(()) => self.ping().await,
                    Err(end) => Err(end),
                },
                () = closing(&mut shutdown) => self.last(&mut events).await,
            };
            if let Err(end) = outcome {
                return end;
            }
        }
    }

    /// The program ends: what has been handed on is still sent.
    async fn last(&mut self, events: &mut mpsc::Receiver<Arc<EventRow>>) -> Result<(), End> {
        while let Ok(event) = events.try_recv() {
            self.event(&event).await?;
        }
        Err(End::Closed(close_code::AWAY, "this node stops"))
    }

    fn take(&mut self, message: Message, work: &mut JoinSet<Answer>) -> Result<(), End> {
        let body = match message {
            Message::Text(text) => axum::body::Bytes::from(text),
            Message::Binary(bytes) => bytes,
            Message::Ping(_) => return Ok(()),
            Message::Pong(payload) => {
                self.confirmed(&payload);
                return Ok(());
            }
            Message::Close(_) => return Err(End::Gone),
        };
        self.known()?;
        let interface = Arc::clone(&self.interface);
        let context = Context { caller: self.caller.clone(), socket: Some(self.id), idempotency_key: None };
        work.spawn(async move { interface.rpc(&body, &context).await });
        Ok(())
    }

    async fn answer(&mut self, answer: Answer) -> Result<(), End> {
        if let Some(body) = answer.body {
            self.send(Message::text(body.to_string())).await?;
        }
        if answer.replay && self.replay.is_none() {
            self.replay = Some(Replay::new(self.interface.reader.clone()));
        }
        Ok(())
    }

    /// The token may be gone, or have other rights, since the connection was made.
    fn known(&mut self) -> Result<(), End> {
        match self.interface.tokens.load().again(&self.caller) {
            Some(caller) => {
                self.caller = caller;
                Ok(())
            }
            None => Err(End::Closed(close_code::POLICY, "the token is not known any more")),
        }
    }

    /// Sends a page of what waited in the outbox, and asks for the next.
    async fn replayed(&mut self, page: store::Answer<Page>) -> Result<(), End> {
        self.replay = None;
        let page = match page {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(%error, "the outbox cannot be read");
                return Ok(());
            }
        };
        if let Some((place, _)) = page.events.last() {
            self.replay = Some(Replay::after(self.interface.reader.clone(), *place, page.until));
        }
        for (_, event) in &page.events {
            self.event(event).await?;
        }
        Ok(())
    }

    async fn event(&mut self, event: &EventRow) -> Result<(), End> {
        self.send(Message::text(event.body.clone())).await?;
        if event.callback_url.is_none() {
            self.sent.push(event.event_id.clone());
            if self.sent.len() >= COLLECT.0 {
                self.ping().await?;
            }
        }
        Ok(())
    }

    /// Asks the peer whether it has read what was sent.
    async fn ping(&mut self) -> Result<(), End> {
        if self.sent.is_empty() {
            return Ok(());
        }
        if self.pings.len() * COLLECT.0 >= UNCONFIRMED {
            return Err(too_slow());
        }
        self.next_ping += 1;
        self.pings.push_back((self.next_ping, std::mem::take(&mut self.sent)));
        let number = self.next_ping.to_be_bytes();
        self.send(Message::Ping(axum::body::Bytes::copy_from_slice(&number))).await
    }

    /// The peer has read all that was sent before a ping (RFC 6455 section 5.5.3: it may answer only the last
    /// of several). Should the store have no room, the events are sent once more one day.
    fn confirmed(&mut self, payload: &[u8]) {
        let Ok(number) = <[u8; 8]>::try_from(payload) else { return };
        let number = u64::from_be_bytes(number);
        let mut events = Vec::new();
        while let Some((_, sent)) = self.pings.pop_front_if(|(ping, _)| *ping <= number) {
            events.extend(sent);
        }
        if !events.is_empty() {
            let _ = self.interface.store.submit(Job::keep(vec![Change::Collected(events)]));
        }
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        let sent = tokio::time::timeout(PATIENCE, self.socket.send(message));
        tokio::select! {
            outcome = sent => match outcome {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err(End::Gone),
                Err(_) => Err(too_slow()),
            },
            _ = self.too_slow.changed() => Err(too_slow()),
        }
    }
}

/// Events of the outbox, each with its place.
struct Page {
    events: Vec<(i64, EventRow)>,
    /// The last place there was when the replay began: what came later is sent as it happens.
    until: i64,
}

/// The next page of what waits in the outbox since nobody was there to collect it. The question goes on while the
/// connection does something else.
struct Replay(Pin<Box<dyn Future<Output = store::Answer<Page>> + Send>>);

impl Replay {
    fn new(reader: Reader) -> Self {
        Self(Box::pin(async move {
            let until = reader.last_place().await?;
            Ok(Page { events: reader.uncollected(0, until, REPLAY).await?, until })
        }))
    }

    fn after(reader: Reader, place: i64, until: i64) -> Self {
        Self(Box::pin(
            async move { Ok(Page { events: reader.uncollected(place, until, REPLAY).await?, until }) },
        ))
    }
}

/// The page that was asked for; never, if none was.
async fn page(replay: &mut Option<Replay>) -> store::Answer<Page> {
    match replay {
        Some(Replay(page)) => page.await,
        None => pending().await,
    }
}

fn too_slow() -> End {
    End::Closed(close_code::POLICY, "too slow: events wait in the outbox")
}

/// Waits for the end of the program.
async fn closing(shutdown: &mut watch::Receiver<bool>) {
    // An error means that the program is past its end.
    let _ = shutdown.wait_for(|closing| *closing).await;
}

/// The next event; never, once the hub has cut the connection off (which `too_slow` tells).
async fn next(events: &mut mpsc::Receiver<Arc<EventRow>>) -> Arc<EventRow> {
    match events.recv().await {
        Some(event) => event,
        None => pending().await,
    }
}
