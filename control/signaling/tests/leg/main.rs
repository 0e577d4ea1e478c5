//! One leg, and a whole callback, against the script of the parties, in virtual time: values in, values out.

mod call;
mod callback;
mod canceling;
mod challenges;
mod dialing;
mod dialogs;
mod early;
mod ending;
mod hops;
mod inside;
mod node;
mod orphans;
mod outside;
mod party;
mod races;
mod refreshing;
mod reliable;
mod securing;
mod session;
mod size;
mod text;
