//! Duogate's one TOML file, as types.
//!
//! [`Configuration::load`] reads a file, refuses what it does not know, checks what the values mean together,
//! and resolves relative paths against the file's folder. Every finding names file, line, column, key and
//! what was expected. An empty file is a working configuration on loopback.

mod check;
mod error;
mod number;
pub mod ringback;
mod sections;
mod signaling;
pub mod values;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use error::{Error, Finding};
pub use ringback::Ringback;
pub use sections::{
    Channel, Gateway, Http, Limits, Log, Media, Node, Policy, Shutdown, Store, Token, Webhook,
};
pub use signaling::{Sip, Srtp, Suite, Trunk};
pub use values::{
    Codec, Dtmf, FastPathMode, Listen, LogFormat, LogLevel, PortRange, RecordHold, Right, Secret, TokenHash,
    Transport,
};

/// All settings of all programs.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Configuration {
    /// Who this node is.
    pub node: Node,
    /// The application and operators' interface.
    pub http: Http,
    /// Signaling.
    pub sip: Sip,
    /// The data plane.
    pub media: Media,
    /// How the data plane forwards.
    pub gateway: Gateway,
    /// The wall between the processes.
    pub channel: Channel,
    /// The database.
    pub store: Store,
    /// How much is accepted.
    pub limits: Limits,
    /// What applications may ask for.
    pub policy: Policy,
    /// Events pushed to applications.
    pub webhook: Webhook,
    /// The end of a process.
    pub shutdown: Shutdown,
    /// What the programs say about themselves.
    pub log: Log,
    /// The peers that calls may go to, in order of preference.
    #[serde(rename = "trunk")]
    pub trunks: Vec<Trunk>,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            node: Node::default(),
            http: Http::default(),
            sip: Sip::default(),
            media: Media::default(),
            gateway: Gateway::default(),
            channel: Channel::default(),
            store: Store::default(),
            limits: Limits::default(),
            policy: Policy::default(),
            webhook: Webhook::default(),
            shutdown: Shutdown::default(),
            log: Log::default(),
            trunks: vec![Trunk::loopback()],
        }
    }
}

impl Configuration {
    /// Reads and checks a file; relative paths in it become absolute, seen from the file's folder.
    ///
    /// # Errors
    /// The file cannot be read, is not TOML, has unknown keys, or has values that are wrong alone, together,
    /// or on this host (a core that it does not have).
    pub fn load(path: &Path) -> Result<Self, Error> {
        let unreadable = |source: io::Error| Error::Unreadable { path: path.to_owned(), source };
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let at_file = |findings| Error::Wrong { path: path.to_owned(), findings };
        let mut configuration = Self::parse(&text).map_err(at_file)?;
        let findings = error::place(&text, check::on_host(&configuration));
        if !findings.is_empty() {
            return Err(at_file(findings));
        }
        let file = std::path::absolute(path).map_err(unreadable)?;
        configuration.resolve(file.parent().unwrap_or(Path::new("/"))).map_err(unreadable)?;
        Ok(configuration)
    }

    /// Parses and checks the text of a file. Paths stay as written, and nothing of the host is looked at.
    ///
    /// # Errors
    /// All findings: one if the text cannot be read into the types, else all that are wrong with the values.
    pub fn parse(text: &str) -> Result<Self, Vec<Finding>> {
        let mut configuration: Self =
            toml::from_str(text).map_err(|error| vec![error::from_toml(text, &error)])?;
        // Whoever narrows the ports alone means fewer sessions, and whoever lowers the sessions, fewer calls.
        if !is_written(text, "media", "sessions") {
            configuration.media.sessions =
                configuration.media.sessions.min(configuration.media.possible_sessions()).max(1);
        }
        configuration.limits.max_calls = configuration.limits.max_calls.min(configuration.media.sessions);
        let findings = error::place(text, check::values(&configuration));
        if findings.is_empty() { Ok(configuration) } else { Err(findings) }
    }

    /// The trunk that takes bare numbers and `tel:` URIs: the one that says so, else the first. None if there is
    /// no trunk at all.
    #[must_use]
    pub fn default_trunk(&self) -> Option<&Trunk> {
        self.trunks.iter().find(|trunk| trunk.default).or_else(|| self.trunks.first())
    }

    /// Makes every relative path absolute, seen from `folder`.
    ///
    /// # Errors
    /// `folder` is relative and the current directory is not known.
    pub fn resolve(&mut self, folder: &Path) -> io::Result<()> {
        let paths: [&mut PathBuf; 4] = [
            &mut self.media.prompts,
            &mut self.media.recordings,
            &mut self.channel.socket,
            &mut self.store.path,
        ];
        let keys = [&mut self.sip.certificate, &mut self.sip.key, &mut self.sip.authorities];
        for path in paths.into_iter().chain(keys.into_iter().flatten()) {
            *path = std::path::absolute(folder.join(&path))?;
        }
        // Empty: no pins.
        if !self.gateway.pin.as_os_str().is_empty() {
            self.gateway.pin = std::path::absolute(folder.join(&self.gateway.pin))?;
        }
        Ok(())
    }
}

/// Does the text, which has been read without an error, set this key itself?
fn is_written(text: &str, section: &str, key: &str) -> bool {
    let table: Result<toml::Table, _> = text.parse();
    table.is_ok_and(|table| table.get(section).is_some_and(|section| section.get(key).is_some()))
}
