//! Sound files, recordings and the link to the gateway.

pub(crate) mod decode;
pub(crate) mod g711;
pub(crate) mod problem;
pub(crate) mod roots;
pub(crate) mod tone;
