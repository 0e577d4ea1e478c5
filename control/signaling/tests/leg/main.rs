//! One leg against the script of its party, in virtual time: values in, values out.

mod call;
mod dialing;
mod text;
