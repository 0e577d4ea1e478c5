//! Faults that are put in on purpose, to see that they are noticed.

/// One fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mutation {
    None,
    /// Our BYE is never sent.
    NoBye,
    /// Our ACK to a 200 is never sent.
    NoAck,
    /// CANCEL is never sent.
    NoCancel,
    /// Every twentieth event is reported twice.
    DoubleEvent,
    /// Every twentieth event is lost.
    LostEvent,
    /// Sessions are not closed.
    NoClose,
    /// Every fiftieth packet goes to somebody else.
    Leak,
    /// Timers of the control plane never fire.
    NoTimers,
    /// A gateway that dies leaves no pages.
    NoPages,
    /// The next gateway is not told where streams go on.
    NoBeginning,
    /// The next gateway is not told on which ports sessions were.
    OtherPorts,
    /// We do not know our password.
    WrongPassword,
    /// Nobody tells us that a nonce went stale.
    StaleUntold,
    /// We follow more redirections than we were told to.
    EndlessRedirects,
    /// We read no preferences of those whom a redirection names.
    NoPreference,
    /// PRACK is never sent.
    NoPrack,
    /// PRACK names another response than the one that came.
    WrongRack,
    /// Our refreshes of a session are never sent.
    NoRefresh,
    /// Somebody answers refreshes for who is dead.
    GhostRefresh,
    /// A fork that answered too late gets no BYE.
    NoForkBye,
    /// A living trunk's answers to OPTIONS do not reach us.
    DeafPing,
    /// Somebody answers OPTIONS for a dead trunk.
    GhostPing,
    /// Only the first REGISTERs are sent.
    NoRegister,
    /// Nobody tells us that a place asked for rest.
    NoRest,
    /// A name leads to where it led long ago.
    StaleNames,
    /// The next control plane knows nothing of the calls of the one before.
    NoTakeover,
}

/// All of them.
pub(crate) const MUTATIONS: [Mutation; 26] = [
    Mutation::NoBye,
    Mutation::NoAck,
    Mutation::NoCancel,
    Mutation::DoubleEvent,
    Mutation::LostEvent,
    Mutation::NoClose,
    Mutation::Leak,
    Mutation::NoTimers,
    Mutation::NoPages,
    Mutation::NoBeginning,
    Mutation::OtherPorts,
    Mutation::WrongPassword,
    Mutation::StaleUntold,
    Mutation::EndlessRedirects,
    Mutation::NoPreference,
    Mutation::NoPrack,
    Mutation::WrongRack,
    Mutation::NoRefresh,
    Mutation::GhostRefresh,
    Mutation::NoForkBye,
    Mutation::DeafPing,
    Mutation::GhostPing,
    Mutation::NoRegister,
    Mutation::NoRest,
    Mutation::StaleNames,
    Mutation::NoTakeover,
];
