//! A Duogate for the demonstration: free ports, a folder, a configuration, a prompt.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use duogate_phone::wave;

use super::chime;
use crate::Failure;
use crate::server::Server;
use crate::supervisor::{Logs, Supervisor};

/// RTP ports of the demonstration: one callback needs four, resting ones included.
const PORTS: u16 = 32;

/// The folder and what is in it.
pub(crate) struct House {
    pub(crate) folder: PathBuf,
    pub(crate) http: SocketAddr,
    pub(crate) sip: SocketAddr,
}

impl House {
    /// Makes the folder: the one that is asked for, or a new one below the system's folder for temporary files.
    pub(crate) fn build(wanted: Option<&Path>) -> Result<Self, Failure> {
        let folder = wanted.map_or_else(new_name, Path::to_path_buf);
        let folder = std::path::absolute(folder).map_err(Failure::system("the folder"))?;
        let failed = || Failure::system(folder.display().to_string());
        for name in ["prompts", "recordings", "run", "state"] {
            fs::create_dir_all(folder.join(name)).map_err(failed())?;
        }
        let prompt = wave::write_mono(&chime::samples());
        fs::write(folder.join("prompts/chime.wav"), prompt).map_err(failed())?;
        let free = || Failure::system("a free port on 127.0.0.1");
        let (http, sip) = (free_tcp().map_err(free())?, free_udp().map_err(free())?);
        let text = configuration(http, sip, free_range().map_err(free())?, first_core());
        fs::write(folder.join("duogate.toml"), text).map_err(failed())?;
        Ok(Self { folder, http, sip })
    }

    pub(crate) fn supervisor(&self) -> Result<Supervisor, Failure> {
        let logs = Logs::Folder(self.folder.clone());
        Supervisor::new(&self.folder.join("duogate.toml"), Duration::from_secs(1), &logs)
    }

    pub(crate) fn server(&self) -> Server {
        Server::at(self.http)
    }

    pub(crate) fn recording(&self) -> PathBuf {
        self.folder.join("recordings/callback.wav")
    }

    /// The last lines that each program wrote.
    pub(crate) fn last_words(&self) -> String {
        let mut words = String::new();
        for name in ["duogate-gateway", "duogate-control"] {
            let log = fs::read_to_string(self.folder.join(format!("{name}.log"))).unwrap_or_default();
            let lines: Vec<&str> = log.lines().rev().take(8).collect();
            for line in lines.iter().rev() {
                words += &format!("  {name}: {}\n", crate::screen::shown(line));
            }
        }
        words
    }
}

fn new_name() -> PathBuf {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    std::env::temp_dir().join(format!("duogate-demo-{seconds}-{}", std::process::id()))
}

fn configuration(http: SocketAddr, sip: SocketAddr, first_port: u16, core: u16) -> String {
    format!(
        "# Made by `duogate demo`.\n\
         [node]\nname = \"demo\"\n\
         [http]\nlisten = \"{http}\"\n\
         [sip]\nlisten = [\"udp:{sip}\"]\n\
         [media]\naddress = \"127.0.0.1\"\nports = \"{first_port}-{}\"\ncores = [{core}]\nsessions = 4\n\
         codecs = [\"opus\", \"G722\", \"PCMA\", \"PCMU\"]\n\
         [shutdown]\ngrace_seconds = 1\n\
         [[trunk]]\nname = \"phones\"\nhosts = [\"127.0.0.1\"]\ncaller_id = \"sip:4008001234@127.0.0.1\"\n",
        first_port + PORTS - 1
    )
}

fn free_tcp() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn free_udp() -> io::Result<SocketAddr> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// An even port that begins a range in which all are free now.
fn free_range() -> io::Result<u16> {
    // Begun anywhere, so that two demonstrations at once do not both take the first.
    let ranges = 40_000 / PORTS;
    let begin = u16::try_from(RandomState::new().build_hasher().finish() % u64::from(ranges)).unwrap_or(0);
    for place in 0..ranges {
        let first = 20_000 + (begin + place) % ranges * PORTS;
        let range = first..first + PORTS;
        let sockets: io::Result<Vec<UdpSocket>> =
            range.map(|port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port))).collect();
        if sockets.is_ok() {
            return Ok(first);
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// The first core that this process may run on.
fn first_core() -> u16 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let first = list.and_then(|list| list.trim().split(['-', ',']).next()?.parse().ok());
    first.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use duogate_configuration::Configuration;

    #[test]
    fn the_configuration_is_right() {
        let text = configuration("127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap(), 20_000, 0);
        let configuration = Configuration::parse(&text).unwrap();
        assert_eq!(configuration.media.ports.to_string(), "20000-20031");
    }
}
