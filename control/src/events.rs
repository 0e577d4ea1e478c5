//! Where events go once they are durable: to the WebSockets that want them, and to the webhooks' sender.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::store::rows::EventRow;
use crate::webhooks::Webhooks;

/// How often the listeners are counted when the program ends.
const LOOK: Duration = Duration::from_millis(5);

/// Which events a WebSocket gets.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Subscription {
    /// None.
    Nothing,
    /// Those of the resources that it created.
    #[default]
    Mine,
    /// All.
    All,
}

/// What a WebSocket holds while it is open.
#[derive(Debug)]
pub(crate) struct Listening {
    /// Its name.
    pub(crate) id: u64,
    /// Events to be sent.
    pub(crate) events: mpsc::Receiver<Arc<EventRow>>,
    /// Turns true when it has been too slow; events stay in the outbox from then on.
    pub(crate) too_slow: watch::Receiver<bool>,
}

#[derive(Debug)]
struct Listener {
    subscription: Subscription,
    events: mpsc::Sender<Arc<EventRow>>,
    too_slow: watch::Sender<bool>,
}

/// The listeners. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Hub {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    listeners: Mutex<HashMap<u64, Listener>>,
    next: AtomicU64,
    most: usize,
    queue: usize,
    settle: mpsc::Sender<oneshot::Sender<()>>,
    settling: Mutex<Option<mpsc::Receiver<oneshot::Sender<()>>>>,
}

impl Hub {
    /// `most` listeners at once, each with a queue of `queue` events.
    pub(crate) fn new(most: usize, queue: usize) -> Self {
        let (settle, settling) = mpsc::channel(4);
        let inner = Inner {
            listeners: Mutex::default(),
            next: AtomicU64::new(1),
            most,
            queue,
            settle,
            settling: Mutex::new(Some(settling)),
        };
        Self { inner: Arc::new(inner) }
    }

    fn listeners(&self) -> MutexGuard<'_, HashMap<u64, Listener>> {
        self.inner.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new listener, or none if there are too many.
    pub(crate) fn join(&self) -> Option<Listening> {
        let mut listeners = self.listeners();
        if listeners.len() >= self.inner.most {
            return None;
        }
        let id = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let (sender, events) = mpsc::channel(self.inner.queue);
        let (slow, too_slow) = watch::channel(false);
        let listener = Listener { subscription: Subscription::default(), events: sender, too_slow: slow };
        listeners.insert(id, listener);
        Some(Listening { id, events, too_slow })
    }

    /// A listener has gone.
    pub(crate) fn leave(&self, id: u64) {
        self.listeners().remove(&id);
    }

    /// What a listener wants from now on.
    pub(crate) fn subscribe(&self, id: u64, subscription: Subscription) {
        if let Some(listener) = self.listeners().get_mut(&id) {
            listener.subscription = subscription;
        }
    }

    /// How many listen.
    pub(crate) fn count(&self) -> usize {
        self.listeners().len()
    }

    /// Waits until the last listener has gone.
    pub(crate) async fn deserted(&self) {
        let mut look = tokio::time::interval(LOOK);
        while self.count() > 0 {
            look.tick().await;
        }
    }

    /// Gives an event to those that want it. One that has no room is cut off.
    fn publish(&self, event: &Arc<EventRow>) {
        self.listeners().retain(|id, listener| {
            let wanted = match listener.subscription {
                Subscription::Nothing => false,
                Subscription::Mine => event.owner == Some(*id),
                Subscription::All => true,
            };
            if !wanted || listener.events.try_send(Arc::clone(event)).is_ok() {
                return true;
            }
            // Nobody looks any more if the connection has ended meanwhile.
            let _ = listener.too_slow.send(true);
            false
        });
    }

    /// Waits until all events that were committed before have been handed on.
    pub(crate) async fn settled(&self) {
        let (done, settled) = oneshot::channel();
        if self.inner.settle.send(done).await.is_ok() {
            // An error means that the hub has ended: then nothing is left either.
            let _ = settled.await;
        }
    }

    /// Hands on what the store has made durable, until the store ends.
    pub(crate) async fn run(self, mut committed: mpsc::Receiver<Arc<EventRow>>, webhooks: Webhooks) {
        let settling = self.inner.settling.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut settling) = settling else { return };
        let hand_on = |event: &Arc<EventRow>| {
            if let Some(callback_url) = &event.callback_url {
                webhooks.due(&event.res_id, callback_url);
            }
            self.publish(event);
        };
        loop {
            tokio::select! {
                event = committed.recv() => match event {
                    Some(event) => hand_on(&event),
                    None => return,
                },
                Some(done) = settling.recv() => {
                    while let Ok(event) = committed.try_recv() {
                        hand_on(&event);
                    }
                    // Whoever asked may have lost patience.
                    let _ = done.send(());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(owner: Option<u64>) -> Arc<EventRow> {
        Arc::new(EventRow {
            event_id: "1".into(),
            res_id: "r".into(),
            seq: 1,
            time: 0,
            callback_url: None,
            body: "{}".into(),
            owner,
        })
    }

    #[test]
    fn each_gets_what_it_asked_for() {
        let hub = Hub::new(3, 4);
        let (mut mine, mut all, mut none) = (hub.join().unwrap(), hub.join().unwrap(), hub.join().unwrap());
        assert!(hub.join().is_none(), "a fourth is one too many");
        hub.subscribe(all.id, Subscription::All);
        hub.subscribe(none.id, Subscription::Nothing);
        hub.publish(&event(Some(mine.id)));
        hub.publish(&event(None));
        assert!(mine.events.try_recv().is_ok() && mine.events.try_recv().is_err());
        assert!(all.events.try_recv().is_ok() && all.events.try_recv().is_ok());
        assert!(none.events.try_recv().is_err());
    }

    #[test]
    fn a_slow_one_is_cut_off_and_told() {
        let hub = Hub::new(1, 1);
        let slow = hub.join().unwrap();
        hub.subscribe(slow.id, Subscription::All);
        hub.publish(&event(None));
        assert!(!*slow.too_slow.borrow());
        hub.publish(&event(None));
        assert!(*slow.too_slow.borrow());
        assert_eq!(hub.count(), 0);
    }
}
