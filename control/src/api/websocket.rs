//! `GET /rpc`: requests in, responses and events out, over one connection.
//!
//! An event leaves the outbox when the peer has answered a ping that was sent after it: then it has read the
//! event, which the kernel's taking it does not say.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::Interface;
use super::rpc::{Answer, Context};
use super::tokens::Caller;
use crate::events::Listening;
use crate::store::Job;
use crate::store::rows::{Change, EventRow};

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
                _ = self.too_slow.changed() => Err(too_slow()),
                _ = ping.tick() => self.send(Message::Ping(axum::body::Bytes::new())).await,
                _ = collect.tick() => self.ping().await,
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
        let interface = Arc::clone(&self.interface);
        let context = Context { caller: self.caller.clone(), socket: Some(self.id), idempotency_key: None };
        work.spawn(async move { interface.rpc(&body, &context).await });
        Ok(())
    }

    async fn answer(&mut self, answer: Answer) -> Result<(), End> {
        if let Some(body) = answer.body {
            self.send(Message::text(body.to_string())).await?;
        }
        if answer.replay { self.replay().await } else { Ok(()) }
    }

    /// Sends what waits in the outbox since nobody was there to collect it.
    async fn replay(&mut self) -> Result<(), End> {
        let mut place = 0;
        loop {
            let Ok(page) = self.interface.reader.uncollected(place, REPLAY).await else { return Ok(()) };
            let Some((last, _)) = page.last() else { return Ok(()) };
            place = *last;
            for (_, event) in &page {
                self.event(event).await?;
            }
        }
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
