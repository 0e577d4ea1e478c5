//! One leg against the script of its party, in virtual time: values in, values out.

mod call;
mod canceling;
mod dialing;
mod dialogs;
mod early;
mod ending;
mod inside;
mod outside;
mod party;
mod races;
mod session;
mod text;
