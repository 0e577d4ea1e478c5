//! What the gateway says, and who it is for.

use duogate_channel::command::Command;
use duogate_channel::event::{Event, PlayOutcome};
use duogate_channel::identity::{LocalPort, Session, Shard, Tag};
use duogate_channel::quality::Fault;

use super::output::Output;
use super::{Endpoint, Input};
use crate::clock::Now;

impl Endpoint {
    /// A shard of the attached gateway reported something.
    pub fn media(&mut self, now: Now, shard: Shard, event: Event) {
        self.shards.set_congested(shard, false);
        match event {
            Event::Opened { tag, session, ports } => self.opened(now, shard, tag, session, ports),
            Event::Refused { tag, reason } => {
                if !self.shards.refused(shard, tag) {
                    self.counters.stray_media += 1;
                } else if !self.try_again(now, tag.0, reason) {
                    self.recovered(tag.0);
                    self.tell(now, tag.0, Input::Refused);
                }
            }
            Event::Closed { session, statistics, .. } => match self.shards.closed(shard, session) {
                Some(serial) => self.tell(now, serial, Input::Closed { statistics }),
                None => self.counters.stray_media += 1,
            },
            Event::Joined { session } => self.tell_session(now, shard, session, Input::Joined),
            Event::Played { session, party, sound, outcome } => {
                if outcome != PlayOutcome::Replaced {
                    self.tell_session(now, shard, session, Input::Played { party, sound });
                }
            }
            Event::ActionEnded { session, party, action, outcome } => {
                self.tell_session(now, shard, session, Input::ActionEnded { party, action, outcome });
            }
            Event::Pressed { session, party, key, milliseconds } => {
                self.tell_session(now, shard, session, Input::Pressed { party, key, milliseconds });
            }
            Event::Silent { session, party } => {
                self.tell_session(now, shard, session, Input::Silent { party });
            }
            // Nothing follows from it but figures: whoever runs the node is told, the call goes on.
            Event::Fault { session, fault, .. } => match (self.shards.resource(shard, session), fault) {
                (None, _) => self.counters.stray_media += 1,
                (Some(_), Some(Fault::Absent)) => self.counters.found_absent += 1,
                (Some(_), Some(Fault::Mute)) => self.counters.found_mute += 1,
                (Some(_), None) => {}
            },
            Event::Unauthentic { session, party } => {
                self.tell_session(now, shard, session, Input::Unauthentic { party });
            }
            // By its own name: it may end after its session has.
            Event::Recorded { recording, outcome, duration, bytes, missing, tracks, .. } => {
                match self.recordings.get(&recording).copied() {
                    Some(serial) => {
                        let told = Input::Recorded { recording, outcome, duration, bytes, missing, tracks };
                        self.tell(now, serial, told);
                    }
                    None => self.counters.stray_media += 1,
                }
            }
        }
    }

    /// A session that nobody asked for, or whose resource is gone, is closed again.
    fn opened(&mut self, now: Now, shard: Shard, tag: Tag, session: Session, ports: [LocalPort; 2]) {
        let asked_for = self.shards.opened(shard, tag, session, tag.0);
        let known = ports.iter().all(|port| usize::from(port.address) < self.settings.media_addresses.len());
        if asked_for && !known {
            // Gateway and control plane were started with different addresses: nobody could be told where to send.
            self.shards.closed(shard, session);
            self.outputs.push_back(Output::Media { shard, command: Command::Close { session } });
            self.tell(now, tag.0, Input::Refused);
        } else if asked_for && self.resources.contains_key(&tag.0) {
            self.tell(now, tag.0, Input::Opened { session, ports });
            self.opened_again(now, tag.0);
        } else {
            self.counters.stray_media += 1;
            self.outputs.push_back(Output::Media { shard, command: Command::Close { session } });
        }
    }

    fn tell_session(&mut self, now: Now, shard: Shard, session: Session, input: Input) {
        match self.shards.resource(shard, session) {
            Some(serial) => self.tell(now, serial, input),
            None => self.counters.stray_media += 1,
        }
    }

    /// A gateway is attached with these shards (sessions that each can hold). Calls are accepted from now on.
    pub fn media_attached(&mut self, now: Now, sessions: &[u32]) {
        if self.shards.is_attached() {
            self.media_lost(now);
        }
        self.shards.attach(sessions);
        self.reopen(now);
    }

    /// The gateway is of no more use, and none is waited for: calls on it end, new ones are refused until the next
    /// [`Endpoint::media_attached`].
    pub fn media_lost(&mut self, now: Now) {
        self.end_recovery();
        self.shards.detach();
        let serials: alloc::vec::Vec<u64> = self.resources.keys().copied().collect();
        for serial in serials {
            self.tell(now, serial, Input::MediaLost);
        }
    }

    /// A command could not be handed to its shard: ring and backlog are full. New sessions avoid the shard until it
    /// reports something again.
    pub fn media_congested(&mut self, shard: Shard) {
        self.shards.set_congested(shard, true);
    }

    /// Sessions asked for or open, per shard.
    #[must_use]
    pub fn shard_sessions(&self) -> alloc::vec::Vec<u32> {
        self.shards.used()
    }
}
