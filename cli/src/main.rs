//! `duogate`: Duogate for people.

mod call;
mod check;
mod demo;
mod doctor;
mod failure;
mod http;
mod look;
mod rpc;
mod screen;
mod server;
mod supervisor;
mod tell;
mod top;
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::failure::Failure;
use crate::screen::Screen;
use crate::server::Reach;

/// Duogate calls two parties, one after the other, and connects them.
///
/// `duogate demo` shows a whole callback on this host, with two built-in phones. `duogate up` runs the service;
/// `call`, `list`, `top` and `drain` speak to one that runs.
#[derive(Parser)]
#[command(name = "duogate", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

// Each command's help stands above its options.
#[derive(Subcommand)]
enum Command {
    Up(up::Options),
    Demo(demo::Options),
    Call(call::Options),
    List(look::ListOptions),
    Check(check::Options),
    Drain(look::DrainOptions),
    Top(top::Options),
    Doctor(doctor::Options),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let screen = Screen::new();
    let outcome = match Arguments::parse().command {
        Command::Up(options) => up::run(&screen, options).await,
        Command::Demo(options) => demo::run(&screen, &options).await,
        Command::Call(options) => call::run(&screen, options).await,
        Command::List(options) => look::list(&screen, options).await,
        Command::Check(options) => check::run(&screen, &options),
        Command::Drain(options) => look::drain(&screen, options).await,
        Command::Top(options) => top::run(&screen, options).await,
        Command::Doctor(options) => doctor::run(&screen, &options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Told) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("duogate: {failure}");
            ExitCode::FAILURE
        }
    }
}
