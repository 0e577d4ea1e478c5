//! A called party played by baresip: an independent phone with sound.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::certificates::Certificates;
use crate::ports;
use crate::process::{POLL, Process};

/// Where Debian puts baresip's modules.
const MODULES: &str = "/usr/lib/baresip/modules";

/// How long the phone says its tone; longer than any callback with it.
const TONE: Duration = Duration::from_secs(30);

/// Ports that are tried.
const TRIES: usize = 5;

/// baresip, answering every call at once and saying a tone.
pub struct Baresip {
    port: u16,
    tls: bool,
    folder: TempDir,
    process: Process,
}

impl Baresip {
    /// Starts baresip on a free port; whoever calls it hears `tone_hertz`.
    ///
    /// # Panics
    /// If baresip is not installed or does not bind its port.
    #[must_use]
    pub fn start(tone_hertz: u16) -> Self {
        Self::start_with(tone_hertz, "PCMA", None, None)
    }

    /// The same, speaking one codec only: "PCMA", "G722" or "opus".
    ///
    /// # Panics
    /// As [`Baresip::start`].
    #[must_use]
    pub fn start_speaking(tone_hertz: u16, codec: &str) -> Self {
        Self::start_with(tone_hertz, codec, None, None)
    }

    /// The same, to be called over TLS: it shows the certificate, and wants one of the same authority.
    ///
    /// # Panics
    /// As [`Baresip::start`].
    #[must_use]
    pub fn start_tls(tone_hertz: u16, certificates: &Certificates) -> Self {
        Self::start_with(tone_hertz, "PCMA", Some(certificates), None)
    }

    /// The same, with encrypted sound (SRTP) or none.
    ///
    /// # Panics
    /// As [`Baresip::start`].
    #[must_use]
    pub fn start_secured(tone_hertz: u16, certificates: &Certificates) -> Self {
        Self::start_with(tone_hertz, "PCMA", Some(certificates), Some("srtp-mand"))
    }

    /// The same, with encrypted sound where keys are offered, under whatever profile.
    ///
    /// # Panics
    /// As [`Baresip::start`].
    #[must_use]
    pub fn start_securable(tone_hertz: u16, certificates: &Certificates) -> Self {
        Self::start_with(tone_hertz, "PCMA", Some(certificates), Some("srtp"))
    }

    fn start_with(
        tone_hertz: u16,
        codec: &str,
        certificates: Option<&Certificates>,
        security: Option<&str>,
    ) -> Self {
        // Between our look at a port and baresip's another test may take it.
        (0..TRIES)
            .find_map(|_| Self::try_to_start(tone_hertz, codec, certificates, security))
            .expect("a port that stays free for a moment")
    }

    fn try_to_start(
        tone_hertz: u16,
        codec: &str,
        certificates: Option<&Certificates>,
        security: Option<&str>,
    ) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // For TLS it takes the port above.
        let above = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", port + 1)).is_ok();
        let port = (0..100).map(|_| ports::free_port()).find(above).expect("two free ports in a row");
        let first = ports::free_udp_port() & !1;
        let mut text = configuration(port, first, folder.path());
        if let Some(Certificates { both, authority, .. }) = certificates {
            let _ = writeln!(text, "sip_certificate {}\nsip_cafile {}", both.display(), authority.display());
        }
        if security.is_some() {
            text.push_str("module srtp.so\n");
        }
        fs::write(folder.path().join("config"), text).expect("a file in the temporary folder");
        crate::wav::write_tone(&folder.path().join("tone.wav"), tone_hertz, TONE);
        let security = security.map_or_else(String::new, |kind| format!(";mediaenc={kind}"));
        let account =
            format!("<sip:party@127.0.0.1:{port}>;regint=0;answermode=auto;audio_codecs={codec}{security}\n");
        fs::write(folder.path().join("accounts"), account).expect("a file in the temporary folder");
        fs::write(folder.path().join("contacts"), "").expect("a file in the temporary folder");
        let output = fs::File::create(folder.path().join("output")).expect("a file in the temporary folder");
        let errors = output.try_clone().expect("a second handle of the output file");
        let mut command = Command::new("baresip");
        command.arg("-f").arg(folder.path()).args(["-4", "-v", "-t", "60"]).current_dir(folder.path());
        // An open pipe that says nothing: baresip ends when its standard input ends.
        command.stdin(Stdio::piped()).stdout(output).stderr(errors);
        let process = Process::start("baresip", &mut command);
        let mut phone = Self { port, tls: certificates.is_some(), folder, process };
        phone.is_bound().then_some(phone)
    }

    /// Waits until it has its port. False if it found that one taken, and has ended.
    fn is_bound(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::UdpSocket::bind(("127.0.0.1", self.port)).is_ok() {
            if self.process.ended().is_some() && self.output().contains("Address already in use") {
                return false;
            }
            assert!(Instant::now() < deadline, "baresip did not bind port {}:\n{}", self.port, self.output());
            std::thread::sleep(POLL);
        }
        true
    }

    /// The phone's SIP URI.
    #[must_use]
    pub fn uri(&self) -> String {
        match self.tls {
            // It listens for TLS at the port above.
            true => format!("sip:party@127.0.0.1:{};transport=tls", self.port + 1),
            false => format!("sip:party@127.0.0.1:{}", self.port),
        }
    }

    /// What baresip printed.
    #[must_use]
    pub fn output(&self) -> String {
        fs::read_to_string(self.folder.path().join("output")).unwrap_or_default()
    }

    /// The sound that it decoded, once its call is over.
    #[must_use]
    pub fn heard(&self) -> Vec<i16> {
        /// Octets before the samples of a plain WAV file.
        const HEADER: usize = 44;
        let files = fs::read_dir(self.folder.path()).into_iter().flatten().flatten();
        let decoded = files.map(|file| file.path()).find(|path| path.to_string_lossy().ends_with("-dec.wav"));
        let file = decoded.and_then(|path| fs::read(path).ok()).unwrap_or_default();
        let samples = file.get(HEADER..).unwrap_or_default().as_chunks::<2>().0;
        samples.iter().map(|sample| i16::from_le_bytes(*sample)).collect()
    }

    /// Ends the phone in good order: it hangs up.
    pub fn hang_up(&mut self) {
        self.process.signal(rustix::process::Signal::TERM);
    }
}

fn configuration(port: u16, first_rtp: u16, folder: &Path) -> String {
    let last_rtp = first_rtp.saturating_add(40);
    let folder = folder.display();
    format!(
        "poll_method epoll\nsip_listen 127.0.0.1:{port}\naudio_source aufile,{folder}/tone.wav\n\
         audio_player aufile,{folder}/heard.wav\naudio_alert aufile,{folder}/alert.wav\n\
         ausrc_srate 8000\nauplay_srate 8000\nausrc_channels 1\nauplay_channels 1\n\
         rtp_ports {first_rtp}-{last_rtp}\njitter_buffer_type fixed\njitter_buffer_delay 1-5\n\
         net_interface 127.0.0.1\nmodule_path {MODULES}\nmodule g711.so\nmodule g722.so\nmodule opus.so\n\
         module aufile.so\nmodule sndfile.so\nsnd_path {folder}\n\
         module_tmp uuid.so\nmodule_tmp account.so\nmodule_app menu.so\n"
    )
}
