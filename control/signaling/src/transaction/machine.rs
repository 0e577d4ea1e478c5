//! The four machines under one name.

use super::timer::{Effect, Timer};
use super::{client, invite_client, invite_server, server};
use crate::message::{Method, Status};

/// One transaction's machine and its state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Machine {
    InviteClient(invite_client::State),
    Client(client::State),
    InviteServer(invite_server::State),
    Server(server::State),
}

impl Machine {
    pub(super) fn begin_client(method: Method<'_>) -> (Self, &'static [Effect]) {
        match method {
            Method::Invite => (Self::InviteClient(invite_client::State::Calling), invite_client::BEGIN),
            _ => (Self::Client(client::State::Trying), client::BEGIN),
        }
    }

    pub(super) fn begin_server(method: Method<'_>) -> (Self, &'static [Effect]) {
        match method {
            Method::Invite => (Self::InviteServer(invite_server::State::Received), invite_server::BEGIN),
            _ => (Self::Server(server::State::Trying), &[]),
        }
    }

    pub(super) const fn is_client(self) -> bool {
        matches!(self, Self::InviteClient(_) | Self::Client(_))
    }

    pub(super) const fn is_over(self) -> bool {
        matches!(
            self,
            Self::InviteClient(invite_client::State::Ended)
                | Self::Client(client::State::Ended)
                | Self::InviteServer(invite_server::State::Ended)
                | Self::Server(server::State::Ended)
        )
    }

    /// An INVITE without any response?
    pub(super) const fn is_calling(self) -> bool {
        matches!(self, Self::InviteClient(invite_client::State::Calling))
    }

    /// An INVITE with a provisional response, not cancelled?
    pub(super) const fn is_proceeding(self) -> bool {
        matches!(self, Self::InviteClient(invite_client::State::Proceeding))
    }

    /// May the user still answer?
    pub(super) const fn is_unanswered(self) -> bool {
        matches!(
            self,
            Self::InviteServer(invite_server::State::Received | invite_server::State::Proceeding)
                | Self::Server(server::State::Trying | server::State::Proceeding)
        )
    }

    /// A response has come.
    pub(super) fn response(&mut self, status: Status) -> &'static [Effect] {
        match self {
            Self::InviteClient(state) => {
                let input = match () {
                    () if status.is_provisional() => invite_client::Input::Provisional,
                    () if status.is_success() => invite_client::Input::Success,
                    () => invite_client::Input::Failure,
                };
                invite_client::step(*state, input).take(state)
            }
            Self::Client(state) => {
                let provisional = status.is_provisional();
                let input = if provisional { client::Input::Provisional } else { client::Input::Final };
                client::step(*state, input).take(state)
            }
            Self::InviteServer(_) | Self::Server(_) => &[],
        }
    }

    /// The request has come again.
    pub(super) fn request(&mut self) -> &'static [Effect] {
        match self {
            Self::InviteServer(state) => {
                invite_server::step(*state, invite_server::Input::Invite).take(state)
            }
            Self::Server(state) => server::step(*state, server::Input::Request).take(state),
            Self::InviteClient(_) | Self::Client(_) => &[],
        }
    }

    /// An ACK of the same branch has come.
    pub(super) fn ack(&mut self) -> &'static [Effect] {
        self.invite_server(invite_server::Input::Ack)
    }

    /// The user has seen the ACK of its 2xx.
    pub(super) fn acknowledged(&mut self) -> &'static [Effect] {
        self.invite_server(invite_server::Input::Acknowledged)
    }

    fn invite_server(&mut self, input: invite_server::Input) -> &'static [Effect] {
        match self {
            Self::InviteServer(state) => invite_server::step(*state, input).take(state),
            Self::InviteClient(_) | Self::Client(_) | Self::Server(_) => &[],
        }
    }

    /// The user answers.
    pub(super) fn answer(&mut self, status: Status) -> &'static [Effect] {
        match self {
            Self::InviteServer(state) => {
                let input = match () {
                    () if status.is_provisional() => invite_server::Input::Provisional,
                    () if status.is_success() => invite_server::Input::Success,
                    () => invite_server::Input::Failure,
                };
                invite_server::step(*state, input).take(state)
            }
            Self::Server(state) => {
                let provisional = status.is_provisional();
                let input = if provisional { server::Input::Provisional } else { server::Input::Final };
                server::step(*state, input).take(state)
            }
            Self::InviteClient(_) | Self::Client(_) => &[],
        }
    }

    /// CANCEL has been sent.
    pub(super) fn cancel(&mut self) -> &'static [Effect] {
        match self {
            Self::InviteClient(state) => {
                invite_client::step(*state, invite_client::Input::Cancel).take(state)
            }
            Self::Client(_) | Self::InviteServer(_) | Self::Server(_) => &[],
        }
    }

    /// The request could not be delivered.
    pub(super) fn transport_failed(&mut self) -> &'static [Effect] {
        match self {
            Self::InviteClient(state) => {
                invite_client::step(*state, invite_client::Input::TransportFailed).take(state)
            }
            Self::Client(state) => client::step(*state, client::Input::TransportFailed).take(state),
            Self::InviteServer(_) | Self::Server(_) => &[],
        }
    }

    /// A timer has fired. Those of other machines do not run here.
    pub(super) fn timer(&mut self, timer: Timer) -> &'static [Effect] {
        match self {
            Self::InviteClient(state) => {
                let input = match timer {
                    Timer::A => invite_client::Input::TimerA,
                    Timer::B => invite_client::Input::TimerB,
                    Timer::Cancelled => invite_client::Input::TimerCancelled,
                    Timer::D => invite_client::Input::TimerD,
                    Timer::M => invite_client::Input::TimerM,
                    _ => return &[],
                };
                invite_client::step(*state, input).take(state)
            }
            Self::Client(state) => {
                let input = match timer {
                    Timer::E => client::Input::TimerE,
                    Timer::F => client::Input::TimerF,
                    Timer::K => client::Input::TimerK,
                    _ => return &[],
                };
                client::step(*state, input).take(state)
            }
            Self::InviteServer(state) => {
                let input = match timer {
                    Timer::Trying => invite_server::Input::TimerTrying,
                    Timer::Success => invite_server::Input::TimerSuccess,
                    Timer::G => invite_server::Input::TimerG,
                    Timer::H => invite_server::Input::TimerH,
                    Timer::I => invite_server::Input::TimerI,
                    Timer::L => invite_server::Input::TimerL,
                    _ => return &[],
                };
                invite_server::step(*state, input).take(state)
            }
            Self::Server(state) => match timer {
                Timer::J => server::step(*state, server::Input::TimerJ).take(state),
                _ => &[],
            },
        }
    }
}
