//! Who is to be posted to next.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;

use super::gap;

/// Posts under way at once. Each holds a connection and a few kilobytes.
const WORKERS: usize = 256;

/// Of these, for one host and port at most.
const SHARE: usize = 64;

/// The same while it does not take what it is sent.
const SHARE_WHILE_FAILING: usize = 4;

/// Where one resource's delivery stands.
#[derive(Clone, Copy, Debug)]
enum State {
    /// In the queue of those that can be worked on.
    Due,
    /// A worker has it; `again` if an event came meanwhile.
    Posting { again: bool },
    /// Waits after a failure.
    Waiting,
}

#[derive(Debug)]
struct Resource {
    host: Arc<str>,
    state: State,
    /// Visits in a row that failed.
    failures: u32,
}

#[derive(Default, Debug)]
struct Host {
    due: VecDeque<Arc<str>>,
    /// Resources that a worker has.
    posting: usize,
    /// All resources of the host; with the last of them it goes.
    resources: usize,
    /// The last visit failed.
    failing: bool,
    /// In the queue of hosts that can be worked for.
    queued: bool,
}

impl Host {
    fn has_work(&self) -> bool {
        let share = if self.failing { SHARE_WHILE_FAILING } else { SHARE };
        !self.due.is_empty() && self.posting < share
    }
}

/// What a worker is to do.
#[derive(Debug)]
pub(super) struct Visit {
    /// Whose events.
    pub(super) res_id: Arc<str>,
    host: Arc<str>,
}

/// How a worker's visit to a resource ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Outcome {
    /// Nothing is left.
    Done,
    /// An event was not taken.
    Failed {
        /// But others before it were.
        some_delivered: bool,
    },
}

/// Every resource that has events for a webhook.
#[derive(Default, Debug)]
pub(super) struct Table {
    resources: HashMap<Arc<str>, Resource>,
    hosts: HashMap<Arc<str>, Host>,
    /// Hosts with work, each once: they take turns.
    turns: VecDeque<Arc<str>>,
    waiting: BinaryHeap<Reverse<(Instant, Arc<str>)>>,
    posting: usize,
    open: bool,
}

impl Table {
    /// Work is given out from now on.
    pub(super) fn open(&mut self) {
        self.open = true;
    }

    /// A resource has an event to be posted.
    pub(super) fn due(&mut self, res_id: &str, host: &str) {
        match self.resources.get_mut(res_id) {
            None => {
                let host = match self.hosts.get_key_value(host) {
                    Some((host, _)) => Arc::clone(host),
                    None => Arc::from(host),
                };
                let res_id: Arc<str> = Arc::from(res_id);
                self.hosts.entry(Arc::clone(&host)).or_default().resources += 1;
                let resource = Resource { host: Arc::clone(&host), state: State::Due, failures: 0 };
                self.resources.insert(Arc::clone(&res_id), resource);
                self.enqueue(res_id, &host);
            }
            Some(Resource { state: State::Posting { again }, .. }) => *again = true,
            // Its turn will come, and then all its events.
            Some(Resource { state: State::Due | State::Waiting, .. }) => {}
        }
    }

    fn enqueue(&mut self, res_id: Arc<str>, host: &Arc<str>) {
        self.hosts.entry(Arc::clone(host)).or_default().due.push_back(res_id);
        self.queue(host);
    }

    /// Gives a host with work its turn.
    fn queue(&mut self, name: &Arc<str>) {
        if let Some(host) = self.hosts.get_mut(name)
            && !host.queued
            && host.has_work()
        {
            host.queued = true;
            self.turns.push_back(Arc::clone(name));
        }
    }

    /// The next resource to be worked on, if there is one and a worker for it.
    pub(super) fn take(&mut self) -> Option<Visit> {
        if !self.open || self.posting >= WORKERS {
            return None;
        }
        loop {
            let name = self.turns.pop_front()?;
            let Some(host) = self.hosts.get_mut(&name) else { continue };
            host.queued = false;
            // It may have begun to fail since it was queued.
            if !host.has_work() {
                continue;
            }
            let Some(res_id) = host.due.pop_front() else { continue };
            host.posting += 1;
            self.posting += 1;
            self.queue(&name);
            if let Some(resource) = self.resources.get_mut(&res_id) {
                resource.state = State::Posting { again: false };
            }
            return Some(Visit { res_id, host: name });
        }
    }

    /// A worker has done what it could.
    pub(super) fn put_back(&mut self, visit: Visit, outcome: Outcome, now: Instant) {
        let Visit { res_id, host: name } = visit;
        self.posting = self.posting.saturating_sub(1);
        if let Some(host) = self.hosts.get_mut(&name) {
            host.posting = host.posting.saturating_sub(1);
            host.failing = matches!(outcome, Outcome::Failed { some_delivered: false });
        }
        if let Some(resource) = self.resources.get_mut(&res_id) {
            let again = matches!(resource.state, State::Posting { again: true });
            match outcome {
                Outcome::Failed { some_delivered } => {
                    resource.failures = if some_delivered { 1 } else { resource.failures.saturating_add(1) };
                    resource.state = State::Waiting;
                    let until = now + gap(resource.failures);
                    self.waiting.push(Reverse((until, res_id)));
                }
                Outcome::Done if again => {
                    (resource.failures, resource.state) = (0, State::Due);
                    self.enqueue(res_id, &name);
                }
                Outcome::Done => {
                    self.resources.remove(&res_id);
                    if let Some(host) = self.hosts.get_mut(&name) {
                        host.resources = host.resources.saturating_sub(1);
                        if host.resources == 0 {
                            self.hosts.remove(&name);
                        }
                    }
                }
            }
        }
        self.queue(&name);
    }

    /// Makes those due whose wait is over; tells how many still wait.
    pub(super) fn wake(&mut self, now: Instant) -> usize {
        while let Some(Reverse((until, _))) = self.waiting.peek()
            && *until <= now
        {
            let Some(Reverse((_, res_id))) = self.waiting.pop() else { break };
            if let Some(resource) = self.resources.get_mut(&res_id) {
                resource.state = State::Due;
                let host = Arc::clone(&resource.host);
                self.enqueue(res_id, &host);
            }
        }
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FAILED: Outcome = Outcome::Failed { some_delivered: false };

    fn table(dead: usize, well: usize) -> Table {
        let mut table = Table::default();
        table.open();
        for number in 0..dead {
            table.due(&format!("dead-{number}"), "dead:1");
        }
        for number in 0..well {
            table.due(&format!("well-{number}"), "well:1");
        }
        table
    }

    fn all(table: &mut Table) -> Vec<Visit> {
        std::iter::from_fn(|| table.take()).collect()
    }

    fn of<'a>(visits: &'a [Visit], host: &str) -> Vec<&'a str> {
        visits.iter().filter(|visit| &*visit.host == host).map(|visit| &*visit.res_id).collect()
    }

    #[test]
    fn a_host_that_answers_nothing_leaves_workers_for_the_others() {
        let mut table = table(1_000, 3);
        let visits = all(&mut table);
        assert_eq!((of(&visits, "dead:1").len(), of(&visits, "well:1").len()), (SHARE, 3));
        assert_eq!(&*visits[1].res_id, "well-0", "hosts take turns");
    }

    #[test]
    fn a_host_that_fails_has_few_workers_until_it_takes_something() {
        let mut table = table(1_000, 0);
        let now = Instant::now();
        for visit in all(&mut table) {
            table.put_back(visit, FAILED, now);
        }
        let mut visits = all(&mut table);
        assert_eq!(visits.len(), SHARE_WHILE_FAILING);
        assert_eq!(table.wake(now), SHARE, "they wait");
        table.put_back(visits.remove(0), Outcome::Done, now);
        assert_eq!(visits.len() + all(&mut table).len(), SHARE, "it has its share again");
    }

    #[test]
    fn what_failed_comes_again_when_its_gap_is_over_and_nothing_stays_behind() {
        let mut table = table(2, 1);
        let now = Instant::now();
        for visit in all(&mut table) {
            let outcome = if &*visit.host == "dead:1" { FAILED } else { Outcome::Done };
            table.put_back(visit, outcome, now);
        }
        table.due("dead-0", "dead:1");
        assert!(table.take().is_none(), "a further event does not shorten the wait");
        assert_eq!(table.wake(now + Duration::from_secs(2)), 0);
        let visits = all(&mut table);
        assert_eq!(visits.len(), 2);
        table.due("dead-1", "dead:1");
        for visit in visits {
            table.put_back(visit, Outcome::Done, now);
        }
        let again = all(&mut table);
        assert_eq!(of(&again, "dead:1"), ["dead-1"], "an event came while it was worked on");
        for visit in again {
            table.put_back(visit, Outcome::Done, now);
        }
        assert!(table.resources.is_empty() && table.hosts.is_empty() && table.turns.is_empty(), "{table:?}");
    }
}
