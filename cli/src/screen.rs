//! Standard output: plain lines, with colors only on a terminal.

use std::fmt::{self, Display};
use std::io::{self, IsTerminal, Write};

/// Standard output.
pub(crate) struct Screen {
    colors: bool,
    terminal: bool,
}

/// How a word looks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Plain,
    Dim,
    Bold,
    Good,
    Bad,
    Attention,
}

impl Look {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "2",
            Self::Bold => "1",
            Self::Good => "32",
            Self::Bad => "31",
            Self::Attention => "33",
        }
    }
}

/// A text with its look.
pub(crate) struct Painted<T> {
    text: T,
    code: &'static str,
}

impl<T: Display> Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.code.is_empty() {
            return self.text.fmt(f);
        }
        write!(f, "\x1b[{}m", self.code)?;
        self.text.fmt(f)?;
        f.write_str("\x1b[0m")
    }
}

impl Screen {
    pub(crate) fn new() -> Self {
        let terminal = io::stdout().is_terminal();
        Self { colors: terminal && std::env::var_os("NO_COLOR").is_none(), terminal }
    }

    /// A text that looks so, if this is a terminal.
    pub(crate) const fn paint<T: Display>(&self, look: Look, text: T) -> Painted<T> {
        Painted { text, code: if self.colors { look.code() } else { "" } }
    }

    /// Prints a line.
    pub(crate) fn line(&self, text: impl Display) {
        let mut out = io::stdout().lock();
        // A reader that has gone away (`duogate list | head`) is no reason to fail.
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    }

    /// Clears a terminal; elsewhere, an empty line separates what follows.
    pub(crate) fn clear(&self) {
        if self.terminal {
            let mut out = io::stdout().lock();
            let _ = write!(out, "\x1b[H\x1b[2J");
        } else {
            self.line("");
        }
    }
}

/// A server's text as it may be shown: control characters would steer the terminal.
pub(crate) fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_for_terminals() {
        let plain = Screen { colors: false, terminal: false };
        assert_eq!(plain.paint(Look::Bad, "x").to_string(), "x");
        let colored = Screen { colors: true, terminal: true };
        assert_eq!(colored.paint(Look::Bad, format_args!("{:>3}", "x")).to_string(), "\x1b[31m  x\x1b[0m");
    }

    #[test]
    fn nobody_steers_the_terminal() {
        assert_eq!(shown("a\x1b[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }
}
