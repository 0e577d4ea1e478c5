//! One outbound call, from INVITE to the end of its last transaction.
//!
//! A leg owns its transactions and dialogs. All of them carry the one Call-ID that the leg made up, so the
//! endpoint needs a single table, from Call-ID to leg: whatever arrives with that Call-ID (responses, requests
//! within the dialog, late and forked answers) is this leg's to judge. Requests with an unknown Call-ID are
//! answered by `leg::outside`, without a leg.
//!
//! After each call of [`Leg::dial`] and [`Leg::handle`], drain [`Leg::poll_output`] and then look at
//! [`Leg::next_deadline`].

mod face;
mod state;

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;

use duogate_channel::time::Instant;
use rand_chacha::ChaCha12Rng;
use rand_core::Rng;

pub use face::{Dial, Input, MediaOffer, Output};
use state::State;

/// The random values of one leg, drawn once: they make its Call-ID, tag and branches unique and unguessable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The whole Call-ID, in hexadecimal.
    pub call_id: u128,
    /// Our tag in From, in hexadecimal.
    pub tag: u64,
    /// What all branches of this leg begin with; a counter follows.
    pub branch: u64,
}

impl Identity {
    /// Draws one from the endpoint's source of randomness.
    #[must_use]
    pub fn draw(random: &mut ChaCha12Rng) -> Self {
        let call_id = u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
        Self { call_id, tag: random.next_u64(), branch: random.next_u64() }
    }
}

/// One outbound call.
#[derive(Debug)]
pub struct Leg {
    call_id: String,
    state: State,
    outputs: VecDeque<Output>,
}

impl Leg {
    /// Places a call: the INVITE is the first output.
    #[must_use]
    pub fn dial(_now: Instant, _dial: Dial, identity: Identity) -> Self {
        let call_id = format!("{:032x}", identity.call_id);
        Self { call_id, state: State::Dialing, outputs: VecDeque::new() }
    }

    /// The Call-ID of every message of this leg.
    #[must_use]
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Takes in what happened. Nothing that arrives from the network can make it fail.
    pub fn handle(&mut self, _now: Instant, _input: Input<'_>) {}

    /// When [`Input::Tick`] is due; `None` only when there is nothing to wait for.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// The next thing that the leg has to say, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Has everything ended, so that the leg may be freed?
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.state == State::Gone
    }
}
