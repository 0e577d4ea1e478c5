//! What each occurrence does.

use std::net::SocketAddr;

use duogate_channel::identity::Shard;
use duogate_signaling::endpoint::{Listener, LocateFailure, Place};
use duogate_signaling::transaction::Transport;

use std::time::Duration;

use crate::audit::{Broken, EVENT, is_tone, packet, path, press, speaker};
use crate::gateway::{ACTED_BYTE, PROMPT_BYTE, TONE_BYTE};
use crate::model::World;
use crate::network::{Occurrence, Wake};
use crate::party::Wish;
use crate::text::Text;

impl World {
    pub(crate) fn happen(&mut self, occurrence: Occurrence) -> Result<(), Broken> {
        match occurrence {
            Occurrence::SipToUs { from, bytes } => self.sip_to_us(from, &bytes),
            Occurrence::SipToParty { to, bytes } => self.sip_to_party(to, &bytes),
            Occurrence::RtpToUs { from, port, bytes } => return self.rtp_to_us(from, port, &bytes),
            Occurrence::RtpToParty { port, to, bytes } => return self.rtp_to_party(port, to, &bytes),
            Occurrence::Party { party, wake } => self.wake(party, wake),
            Occurrence::Command { life, command } => {
                if let Some(gateway) = self.gateway.as_mut().filter(|gateway| gateway.life == life) {
                    gateway.command(self.now, command, &mut self.random);
                }
            }
            Occurrence::Event { life, event } => {
                // A dead gateway's last words are still in its ring.
                if self.attached == Some(life) {
                    self.tell(&format!("gateway: {event:?}"));
                    self.endpoint.media(self.clock(), Shard(0), event);
                }
            }
            Occurrence::Bound { life, socket } => {
                if let Some(gateway) = self.gateway.as_mut().filter(|gateway| gateway.life == life) {
                    gateway.bound(self.now, socket, &mut self.random);
                }
            }
            Occurrence::Written { life, take, samples } => {
                if let Some(gateway) = self.gateway.as_mut().filter(|gateway| gateway.life == life) {
                    gateway.written(take, samples, &mut self.random);
                }
            }
            Occurrence::Application { call, deed } => self.application(call, deed),
            Occurrence::Act { call } => return self.act(call),
            Occurrence::Stranger => self.stranger(),
            Occurrence::GatewayDies => self.gateway_dies(),
            Occurrence::GatewayMissed => self.gateway_missed(),
            Occurrence::GatewayReturns => self.gateway_returns(),
            Occurrence::Furnished { life } => {
                if self.attached == Some(life) {
                    self.endpoint.media_furnished(self.clock());
                }
            }
            Occurrence::Located { query, found } => {
                let answer = if found {
                    Ok(vec![Place { transport: Transport::Udp, address: self.parties[0].address }])
                } else {
                    Err(LocateFailure::Unknown)
                };
                self.endpoint.located(self.clock(), query, answer);
            }
        }
        Ok(())
    }

    fn sip_to_us(&mut self, from: SocketAddr, bytes: &[u8]) {
        if bytes.starts_with(b"SIP/2.0") || bytes.starts_with(b"BYE") || bytes.starts_with(b"INVITE") {
            let text = Text::read(bytes);
            self.audit.received(&text);
            self.tell(&format!("{from} > us: {} ({})", text.start, text.call_id()));
        }
        self.endpoint.receive(self.clock(), Listener(0), from, bytes);
    }

    fn sip_to_party(&mut self, to: SocketAddr, bytes: &[u8]) {
        let Some(place) = self.addresses.get(&to.ip()).copied() else { return };
        let mut wishes = Vec::new();
        self.parties[place].receive(bytes, &mut wishes);
        // It acknowledges the answer to its re-INVITE.
        if let Some(bytes) = self.parties[place].acknowledgement(bytes) {
            wishes.push(Wish::Send { bytes });
        }
        self.grant(place, wishes);
    }

    fn wake(&mut self, party: usize, wake: Wake) {
        let mut wishes = Vec::new();
        if wake == Wake::Speak {
            self.speak(party);
        } else {
            self.parties[party].wake(wake, &mut wishes);
        }
        self.grant(party, wishes);
    }

    fn grant(&mut self, place: usize, wishes: Vec<Wish>) {
        for wish in wishes {
            match wish {
                Wish::Send { bytes } => {
                    let from = self.parties[place].address;
                    let occurrence = Occurrence::SipToUs { from, bytes };
                    self.schedule.send(self.now, &mut self.random, self.weather, &occurrence);
                }
                Wish::Wake { after, wake } => {
                    self.schedule.at(self.now + after, Occurrence::Party { party: place, wake });
                }
            }
        }
    }

    /// A party that is in a call says who it is, ten times a second.
    fn speak(&mut self, place: usize) {
        let party = &mut self.parties[place];
        let Some((from, port)) = party.speaks() else { return };
        party.sequence = party.sequence.wrapping_add(1);
        let who = u16::try_from(place).expect("few parties") + 0x4000;
        let mut packets = vec![packet(party.sequence, party.script.codec, who)];
        if party.script.keys && self.random.chance(15) {
            let key = u8::try_from(self.random.between(0, 15)).expect("small");
            packets.extend(press(&mut party.sequence, key, who));
        }
        let mut when = self.now;
        for bytes in packets {
            let occurrence = Occurrence::RtpToUs { from, port, bytes };
            self.schedule.send(when, &mut self.random, self.weather, &occurrence);
            when = when + Duration::from_millis(15);
        }
        // Two loops may run after early media and an answer; that is but a faster talker. Not for ever, though.
        if self.parties[place].sequence < 200 {
            let next = self.now + Duration::from_millis(100);
            self.schedule.at(next, Occurrence::Party { party: place, wake: Wake::Speak });
        }
    }

    fn rtp_to_us(&mut self, from: SocketAddr, port: u16, bytes: &[u8]) -> Result<(), Broken> {
        let say = self.random.chance(20);
        let Some(gateway) = self.gateway.as_mut() else { return Ok(()) };
        let effect = gateway.receive(self.now, from, port, bytes, say);
        effect.map_or(Ok(()), |effect| self.effect(effect))
    }

    fn rtp_to_party(&mut self, port: u16, to: SocketAddr, bytes: &[u8]) -> Result<(), Broken> {
        self.audit.packets += 1;
        let Some(place) = self.addresses.get(&to.ip()).copied() else {
            return Err(format!("sound for nobody {}", path(port, to)));
        };
        let acted = &self.acted[place];
        let payload = bytes.get(12..).unwrap_or_default();
        match bytes[1] & 0x7f {
            EVENT => {
                return if payload.len() == 4 {
                    Ok(())
                } else {
                    Err("a telephone-event of wrong length".into())
                };
            }
            _ if acted.played && payload.iter().all(|byte| *byte == ACTED_BYTE) => return Ok(()),
            // Keys for a phone without telephone-events are tones and the silence between them.
            _ if acted.keyed && is_tone(payload) => return Ok(()),
            _ => {}
        }
        match speaker(bytes, &[PROMPT_BYTE, TONE_BYTE])? {
            None if place % 2 == 0 => Ok(()),
            None => Err(format!("party 2 hears a prompt or a tone, {}", path(port, to))),
            Some(who) if usize::from(who) == (place ^ 1) + 0x4000 => Ok(()),
            Some(who) => Err(format!("party {place} hears {who:#x}, {}", path(port, to))),
        }
    }
}
