//! The shard's side of the wall: the rings with the control plane that is attached, if one is.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use duogate_channel::command::Command;
use duogate_channel::event::Event;
use duogate_channel::ring::{Poisoned, PushError};
use duogate_channel::sides::GatewaySide;

use crate::inbox::Attachment;
use crate::rings::Rings;

/// Doorbell numbers of control planes begin behind this one, which is the inbox's.
pub const INBOX_BELL: u32 = 0;

struct Guest {
    side: GatewaySide,
    attachment: Arc<Attachment>,
    bell: u32,
}

/// The wall, with or without somebody behind it.
#[derive(Default)]
pub struct Wall {
    guest: Option<Guest>,
    bells: u32,
    asleep: bool,
    full: bool,
    unread: u64,
}

impl Wall {
    /// A control plane has attached; its doorbell is watched from now on.
    ///
    /// # Errors
    /// The system's.
    pub fn attach(
        &mut self,
        uring: &mut Rings,
        side: GatewaySide,
        attachment: Arc<Attachment>,
    ) -> io::Result<()> {
        self.detach(uring)?;
        self.bells = self.bells.wrapping_add(1).max(INBOX_BELL + 1);
        uring.watch(side.command_doorbell.as_fd(), self.bells)?;
        self.guest = Some(Guest { side, attachment, bell: self.bells });
        Ok(())
    }

    /// The control plane has gone.
    ///
    /// # Errors
    /// The system's.
    pub fn detach(&mut self, uring: &mut Rings) -> io::Result<()> {
        self.full = false;
        self.asleep = false;
        match self.guest.take() {
            Some(guest) => uring.unwatch(guest.bell),
            None => Ok(()),
        }
    }

    /// Is a control plane attached?
    #[must_use]
    pub const fn is_attached(&self) -> bool {
        self.guest.is_some()
    }

    /// Does an event wait for room in its ring?
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.full
    }

    /// Watches a doorbell again that the kernel has ceased to watch.
    ///
    /// # Errors
    /// The system's.
    pub fn watch_again(&self, uring: &mut Rings, bell: u32) -> io::Result<()> {
        match &self.guest {
            Some(guest) if guest.bell == bell => uring.watch(guest.side.command_doorbell.as_fd(), bell),
            _ => Ok(()),
        }
    }

    /// Tells the control plane that its commands need a doorbell from now on. False if one is there already.
    pub fn prepare_sleep(&mut self) -> bool {
        let Some(guest) = &mut self.guest else { return true };
        match guest.side.commands.prepare_sleep() {
            Ok(empty) => {
                self.asleep = empty;
                empty
            }
            Err(poisoned) => {
                self.condemn(poisoned);
                true
            }
        }
    }

    /// The sleep is over.
    pub fn wake(&mut self) {
        if std::mem::take(&mut self.asleep)
            && let Some(guest) = &mut self.guest
        {
            guest.side.commands.wake();
        }
    }

    /// The next command.
    pub fn command(&mut self) -> Option<Command> {
        match self.guest.as_mut()?.side.commands.pop() {
            Ok(command) => command,
            Err(poisoned) => {
                self.condemn(poisoned);
                None
            }
        }
    }

    /// Hands an event over. False if that is not possible now.
    pub fn tell(&mut self, event: &Event) -> bool {
        let Some(guest) = &mut self.guest else { return false };
        let outcome = guest.side.events.push(event);
        self.full = matches!(outcome, Err(PushError::Full));
        match outcome {
            Ok(()) => self.unread += 1,
            Err(PushError::Full) => {}
            Err(PushError::Poisoned(poisoned)) => self.condemn(poisoned),
        }
        outcome.is_ok()
    }

    /// Wakes the control plane if it was told something and sleeps; gives the number of events since the last call.
    pub fn flush(&mut self) -> u64 {
        if self.unread > 0
            && let Some(guest) = &mut self.guest
        {
            guest.side.flush();
        }
        std::mem::take(&mut self.unread)
    }

    /// The rings are unusable: nothing is read from them or written to them any more. The attach thread sends the
    /// control plane away, and its notice about that takes the rest down.
    fn condemn(&mut self, poisoned: Poisoned) {
        if let Some(guest) = &self.guest
            && !guest.attachment.is_broken()
        {
            tracing::error!(%poisoned, "the control plane's rings are unusable; it must attach again");
            guest.attachment.condemn();
        }
    }
}
