//! Fields of secured media and of addresses to be learned.

use core::net::{IpAddr, SocketAddr};

use crate::record::field::{Read, Reader, Writer, impossible};
use crate::srtp::{Heard, KEY_OCTETS, MOST_INDEX, Master, MasterKeys, Suite};

impl Writer<'_> {
    /// An address without port.
    pub(crate) fn ip(&mut self, ip: IpAddr) -> &mut Self {
        self.address(SocketAddr::new(ip, 0))
    }

    /// The number of the suite, 0 for none, and both keys.
    pub(crate) fn secret(&mut self, keys: Option<&MasterKeys>) -> &mut Self {
        let Some(keys) = keys else { return self.u8(0) };
        self.u8(match keys.suite {
            Suite::AesCm128HmacSha1_80 => 1,
            Suite::AeadAes128Gcm => 2,
        });
        self.put(*keys.ours.octets()).put(*keys.theirs.octets())
    }

    pub(crate) fn heard(&mut self, heard: Option<Heard>) -> &mut Self {
        let Some(heard) = heard else { return self.flag(false) };
        self.flag(true).u32(heard.ssrc).u64(heard.index)
    }
}

impl Reader<'_> {
    pub(crate) fn ip(&mut self) -> Read<IpAddr> {
        match self.address()? {
            SocketAddr::V4(v4) if v4.port() == 0 => Ok(IpAddr::V4(*v4.ip())),
            SocketAddr::V6(v6) if v6.port() == 0 && v6.flowinfo() == 0 && v6.scope_id() == 0 => {
                Ok(IpAddr::V6(*v6.ip()))
            }
            other => impossible("address without port", other.port()),
        }
    }

    pub(crate) fn secret(&mut self) -> Read<Option<MasterKeys>> {
        let suite = match self.u8()? {
            0 => return Ok(None),
            1 => Suite::AesCm128HmacSha1_80,
            2 => Suite::AeadAes128Gcm,
            other => return impossible("suite", other),
        };
        let (ours, theirs) = (self.master(suite)?, self.master(suite)?);
        Ok(Some(MasterKeys { suite, ours, theirs }))
    }

    fn master(&mut self, suite: Suite) -> Read<Master> {
        let octets: [u8; KEY_OCTETS + 14] = self.take()?;
        let (used, rest) = octets.split_at(suite.master_octets());
        match Master::new(suite, used) {
            Some(master) if rest.iter().all(|octet| *octet == 0) => Ok(master),
            _ => impossible("master key", suite.master_octets() as u64),
        }
    }

    pub(crate) fn heard(&mut self) -> Read<Option<Heard>> {
        if !self.flag("heard")? {
            return Ok(None);
        }
        match (self.u32()?, self.u64()?) {
            (ssrc, index) if index <= MOST_INDEX => Ok(Some(Heard { ssrc, index })),
            (_, index) => impossible("packet index", index),
        }
    }
}
