//! Where a running Duogate is reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use duogate_configuration::Configuration;

use crate::Failure;

/// The options of every command that speaks to a running Duogate.
#[derive(Args, Clone)]
pub(crate) struct Reach {
    /// Where Duogate is reached [default: http.listen of the configuration, or http://127.0.0.1:8080]
    #[arg(long, value_name = "URL", env = "DUOGATE_URL")]
    url: Option<String>,
    /// The token that opens it
    #[arg(long, value_name = "TOKEN", env = "DUOGATE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The configuration of the running Duogate, looked at for its address
    #[arg(long, value_name = "FILE", default_value = "duogate.toml")]
    config: PathBuf,
}

/// A running Duogate.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// Host and port.
    pub(crate) authority: String,
    pub(crate) token: Option<String>,
}

impl Reach {
    pub(crate) fn server(self) -> Result<Server, Failure> {
        let authority = match self.url {
            Some(url) => authority(&url)?,
            None if self.config.exists() => {
                reachable(Configuration::load(&self.config)?.http.listen).to_string()
            }
            None => Configuration::default().http.listen.to_string(),
        };
        let token = self.token.filter(|token| !token.is_empty());
        if token.as_ref().is_some_and(|token| !token.chars().all(|c| c.is_ascii_graphic())) {
            return Err(Failure::Usage("the token has characters that no token has".to_owned()));
        }
        Ok(Server { authority, token })
    }
}

impl Server {
    /// One that is known to listen there, without tokens.
    pub(crate) fn at(listen: SocketAddr) -> Self {
        Self { authority: reachable(listen).to_string(), token: None }
    }
}

fn authority(url: &str) -> Result<String, Failure> {
    let wrong = || Failure::Usage(format!("\"{}\" is no URL, expected http://HOST:PORT", url.escape_debug()));
    let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    if authority.is_empty() || !authority.chars().all(fits) {
        return Err(wrong());
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if has_port { authority.to_owned() } else { format!("{authority}:80") })
}

/// A server that listens everywhere is reached on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read() {
        assert_eq!(authority("http://127.0.0.1:8080/").unwrap(), "127.0.0.1:8080");
        assert_eq!(authority("http://gate").unwrap(), "gate:80");
        assert_eq!(authority("http://[::1]:81").unwrap(), "[::1]:81");
        for wrong in ["127.0.0.1:8080", "https://a", "http://", "http://a/b", "http://a\r\nX: y"] {
            assert!(authority(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn everywhere_is_reached_on_loopback() {
        assert_eq!(Server::at("0.0.0.0:8080".parse().unwrap()).authority, "127.0.0.1:8080");
        assert_eq!(Server::at("[::]:8080".parse().unwrap()).authority, "[::1]:8080");
    }
}
