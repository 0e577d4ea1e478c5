//! How the gateway dies, and how the next one comes: in time for the calls, or too late.

use std::time::Duration;

use crate::gateway::{Gateway, SESSIONS};
use crate::model::World;
use crate::mutation::Mutation;
use crate::network::Occurrence;

impl World {
    /// Says when the gateway will die, if it will; perhaps again while its calls still wait.
    pub(crate) fn foresee_crashes(&mut self) {
        for _ in 0..self.random.one_of(&[0, 0, 1, 1, 2, 4]) {
            self.calm = false;
            let when = self.start + Duration::from_micros(self.random.between(500_000, 25_000_000));
            self.schedule.at(when, Occurrence::GatewayDies);
        }
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
        self.attached = None;
        self.tell(&format!("the gateway is missed, {} sessions on its pages", pages.len()));
        self.endpoint.media_away(self.clock(), &pages);
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
        self.endpoint.media_attached(self.clock(), &[SESSIONS]);
        // A folder of sounds that hangs keeps it from having them in time.
        let (low, high) = if self.random.chance(90) { (1, 300) } else { (4_000, 9_000) };
        let furnished = self.now + Duration::from_millis(self.random.between(low, high));
        self.schedule.at(furnished, Occurrence::Furnished { life });
    }
}
