//! Sound files, recordings and the link to the gateway.

pub(crate) mod apart;
mod decode;
pub(crate) mod link;
mod manifest;
mod ogg;
pub(crate) mod problem;
pub(crate) mod recordings;
pub(crate) mod roots;
pub(crate) mod sounds;
mod tone;
pub(crate) mod wav;
