//! What `construct`, `get` and `list` show of a resource.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use duogate_channel::event::LegStatistics;
use duogate_channel::time::UnixTime;

use super::action::Actions;
use super::report::Failure;

/// The states of a two-way callback.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum State {
    /// Party 1 has not answered yet.
    Initiated,
    /// Party 1 has answered; party 2 has not.
    Answer1,
    /// Both have answered; the gateway is joining them.
    Answer2,
    /// The two talk.
    Connected,
    /// Over. Nothing leaves this state.
    Released,
}

impl State {
    /// All, in the order of a call's life.
    pub const ALL: [Self; 5] =
        [Self::Initiated, Self::Answer1, Self::Answer2, Self::Connected, Self::Released];

    /// As the interface spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initiated => "Initiated",
            Self::Answer1 => "Answer1",
            Self::Answer2 => "Answer2",
            Self::Connected => "Connected",
            Self::Released => "Released",
        }
    }

    /// The state that the interface spells so.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl fmt::Display for State {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name())
    }
}

/// One party as `get` shows it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct PartyView {
    /// The URI that is or was dialled last; none before the first.
    pub to_uri: Option<String>,
    /// When its first INVITE was asked for.
    pub begin_time: Option<UnixTime>,
    /// When it first rang.
    pub ring_time: Option<UnixTime>,
    /// When it answered.
    pub answer_time: Option<UnixTime>,
    /// When its call ended.
    pub end_time: Option<UnixTime>,
    /// How its sound is or was carried, where that is known.
    pub quality: Option<LegStatistics>,
}

/// One resource as `construct`, `get` and `list` show it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    /// `<node>-ext.duo_callback-<unique>`.
    pub res_id: Arc<str>,
    /// Its state.
    pub state: State,
    /// CTI actions that run.
    pub action: Actions,
    /// The recording's path as the application gave it.
    pub record_file: Option<String>,
    /// What the application attached.
    pub user_data: Option<Arc<str>>,
    /// When it was constructed.
    pub begin_time: UnixTime,
    /// When the two were joined.
    pub connect_time: Option<UnixTime>,
    /// When it was released.
    pub end_time: Option<UnixTime>,
    /// Why it was released, if that was no normal end.
    pub error: Option<Failure>,
    /// SIP status of the end; none before it.
    pub cause: Option<u16>,
    /// 1, 2, or 0 for the system; none before the end.
    pub released_by: Option<u8>,
    /// Both parties.
    pub parties: [PartyView; 2],
}

/// Part of a list.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Page {
    /// In the order of construction.
    pub views: Vec<View>,
    /// Give this as `cursor` for what follows; none at the end.
    pub next: Option<String>,
}
