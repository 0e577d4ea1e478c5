//! How the gateway dies, and how the next one comes: in time for the calls, or too late. And how the control plane dies
//! under conversations, with which the next one goes on.

use std::time::Duration;

use duogate_channel::identity::Shard;
use duogate_channel::snapshot::Snapshot;
use duogate_signaling::endpoint::NotACall;

use crate::application::endpoint;
use crate::gateway::{Gateway, SESSIONS};
use crate::model::World;
use crate::mutation::Mutation;
use crate::network::Occurrence;
use crate::party::Party;

/// How often a death is put off by a second until it finds nothing but conversations.
const TRIES: u32 = 200;

impl World {
    /// Says when the gateway will die, if it will; perhaps again while its calls still wait.
    pub(crate) fn foresee_crashes(&mut self) {
        for _ in 0..self.random.one_of(&[0, 0, 1, 1, 2, 4]) {
            self.calm = false;
            let when = self.start + Duration::from_micros(self.random.between(500_000, 25_000_000));
            self.schedule.at(when, Occurrence::GatewayDies);
        }
        for _ in 0..self.random.one_of(&[0, 1, 2]) {
            let when = self.start + Duration::from_millis(self.random.between(20_000, 200_000));
            self.schedule.at(when, Occurrence::ControlDies { tries: TRIES });
        }
    }

    /// What a successor of the shell would end by itself is not of this world: it dies while all that is in the journal
    /// are connected calls.
    pub(crate) fn control_dies(&mut self, tries: u32) {
        let goes_on = self.journal.values().all(|note| note.live.is_some());
        if self.journal.is_empty() || !goes_on || self.attached.is_none() || self.gateway.is_none() {
            if tries > 0 {
                let later = self.now + Duration::from_secs(1);
                self.schedule.at(later, Occurrence::ControlDies { tries: tries - 1 });
            }
            return;
        }
        self.reign += 1;
        self.reign_began = self.now;
        self.attached = None;
        self.tell(&format!("the control plane dies under {} calls", self.journal.len()));
        self.endpoint = endpoint(self.seed, self.mutation, self.reign, self.clock());
        self.parties.iter_mut().for_each(Party::renew_guards);
        self.servers.renew_registrar();
        let forgetful = self.mutation == Mutation::NoTakeover;
        for note in self.journal.values().filter(|_| !forgetful) {
            match self.endpoint.take_over(self.clock(), note) {
                Ok(()) => self.taken_over += 1,
                Err(NotACall) => panic!("a call that could go on was refused: {note:?}"),
            }
        }
        let later = self.now + Duration::from_millis(self.random.between(0, 1_500));
        self.schedule.at(later, Occurrence::ControlAttaches);
    }

    /// The control plane that the gateway had is gone, and the next one has not come yet.
    pub(crate) fn orphaned(&self, life: u32) -> bool {
        self.attached.is_none() && self.gateway.as_ref().is_some_and(|gateway| gateway.life == life)
    }

    pub(crate) fn control_attaches(&mut self) {
        // Where it has died meanwhile, the next one is waited for, or has come.
        let Some(gateway) = self.gateway.as_ref().filter(|_| self.attached.is_none()) else { return };
        self.attached = Some(gateway.life);
        let (life, pages) = (gateway.life, gateway.pages());
        let pages: Vec<(Shard, Snapshot)> = pages.into_iter().map(|page| (Shard(0), page)).collect();
        self.tell(&format!("the control plane {} attaches, {} sessions are there", self.reign, pages.len()));
        self.endpoint.media_found(self.clock(), &[SESSIONS], &pages);
        self.schedule.at(self.now + Duration::from_millis(1), Occurrence::Furnished { life });
    }

    pub(crate) fn gateway_dies(&mut self) {
        // One that is already dead, and has no successor yet, dies no second time.
        let Some(gateway) = self.gateway.take() else { return };
        self.tell("the gateway dies");
        self.left = gateway.into_pages();
        // What it wrote takes 200 us to be read; commands to it are lost from now on.
        let noticed = self.now + Duration::from_micros(self.random.between(300, 30_000));
        self.schedule.at(noticed, Occurrence::GatewayMissed);
    }

    pub(crate) fn gateway_missed(&mut self) {
        let mut pages = std::mem::take(&mut self.left);
        if self.mutation == Mutation::NoPages {
            pages.clear();
        }
        self.tell(&format!("the gateway is missed, {} sessions on its pages", pages.len()));
        // A control plane that was not attached misses nothing: it waits for a gateway anyway.
        if self.attached.take().is_some() {
            self.endpoint.media_away(self.clock(), &pages);
        }
        let (low, high) = if self.random.chance(75) { (20, 1_500) } else { (4_700, 8_000) };
        let next = self.now + Duration::from_millis(self.random.between(low, high));
        self.schedule.at(next, Occurrence::GatewayReturns);
    }

    pub(crate) fn gateway_returns(&mut self) {
        self.lives += 1;
        let life = self.lives;
        self.tell(&format!("gateway {life} attaches"));
        self.gateway = Some(Gateway::new(life, self.now, self.seed));
        self.attached = Some(life);
        self.endpoint.media_found(self.clock(), &[SESSIONS], &[]);
        // A folder of sounds that hangs keeps it from having them in time.
        let (low, high) = if self.random.chance(90) { (1, 300) } else { (4_000, 9_000) };
        let furnished = self.now + Duration::from_millis(self.random.between(low, high));
        self.schedule.at(furnished, Occurrence::Furnished { life });
    }
}
