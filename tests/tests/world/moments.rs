//! What each occurrence does.

use std::net::SocketAddr;

use duogate_channel::identity::Shard;
use duogate_signaling::endpoint::Listener;

use std::time::Duration;

use crate::audit::{Broken, EVENT, is_tone, packet, path, press, speaker};
use crate::digesting::without_stale;
use crate::gateway::{ACTED_BYTE, PROMPT_BYTE, TONE_BYTE};
use crate::model::{World, place_of};
use crate::mutation::Mutation;
use crate::network::{Occurrence, Wake};
use crate::party::Wish;
use crate::servers::server_at;
use crate::text::{Text, without_line, without_preference};

impl World {
    pub(crate) fn happen(&mut self, occurrence: Occurrence) -> Result<(), Broken> {
        match occurrence {
            Occurrence::SipToUs { from, bytes } => self.sip_to_us(from, &bytes),
            Occurrence::SipToParty { to, bytes } => return self.sip_to_party(to, &bytes),
            Occurrence::RtpToUs { from, port, bytes } => return self.rtp_to_us(from, port, &bytes),
            Occurrence::RtpToParty { port, to, bytes } => return self.rtp_to_party(port, to, &bytes),
            Occurrence::Party { party, wake } => return self.wake(party, wake),
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
                } else if self.orphaned(life) {
                    // It keeps what nobody takes.
                    let later = self.now + Duration::from_millis(1);
                    self.schedule.at(later, Occurrence::Event { life, event });
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
            Occurrence::Located { reign, query, places } => self.located(reign, query, places),
            Occurrence::ControlDies { tries } => self.control_dies(tries),
            Occurrence::ControlAttaches => self.control_attaches(),
            Occurrence::ServerDies { server } => self.server_dies(server),
            Occurrence::ServerReturns { server } => self.server_returns(server),
            Occurrence::ServerBusy { server, seconds } => self.server_busy(server, seconds),
            Occurrence::Unreachable { to } => self.endpoint.unreachable(self.clock(), Listener(0), to),
            Occurrence::NamesChange => self.names_change(),
            Occurrence::Inspect => return self.inspect(),
            Occurrence::LeaveTrunks => self.leave_trunks(),
        }
        Ok(())
    }

    fn sip_to_us(&mut self, from: SocketAddr, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        if !bytes.starts_with(b"ACK") && !bytes.starts_with(b"PRACK") {
            let text = Text::read(&bytes);
            let waits = self.audit.waits(text.call_id(), self.now) && self.still_dials(text.call_id());
            self.audit.received(&text);
            if text.status() > 100 && text.status() < 200 {
                self.duties.rings(&text, waits);
            }
            self.asked_for_rest(from, &text, waits);
            self.tell(&format!("{from} > us: {} ({})", text.start, text.call_id()));
            match self.mutation {
                Mutation::DeafPing if text.cseq().1 == "OPTIONS" => return,
                Mutation::StaleUntold => bytes = without_stale(&bytes),
                Mutation::NoRest => bytes = without_line(&bytes, "Retry-After"),
                Mutation::NoPreference => bytes = without_preference(&bytes),
                _ => {}
            }
        }
        self.endpoint.receive(self.clock(), Listener(0), from, &bytes);
    }

    /// Does the callback of that call still wait for its party's answer?
    fn still_dials(&self, call_id: &str) -> bool {
        let Some(place) = self.audit.place(call_id) else { return false };
        let name = self.calls[place / 2].as_ref();
        let account = name.and_then(|name| self.audit.accounts.get(name));
        account.is_some_and(|account| account.still_dials(place % 2))
    }

    fn sip_to_party(&mut self, to: SocketAddr, bytes: &[u8]) -> Result<(), Broken> {
        let place = match server_at(to) {
            Some(server) if !self.served(server, bytes)? => return Ok(()),
            Some(_) => {
                let text = Text::read(bytes);
                let known = self.parties.iter().position(|party| party.find(&text).is_some());
                known.or_else(|| place_of(text.user_and_host().0))
            }
            None => self.addresses.get(&to.ip()).copied(),
        };
        let Some(place) = place else { return Ok(()) };
        let mut wishes = Vec::new();
        self.parties[place].receive(to, bytes, &mut wishes);
        self.grant(place, wishes)
    }

    fn wake(&mut self, party: usize, wake: Wake) -> Result<(), Broken> {
        let mut wishes = Vec::new();
        if wake == Wake::Speak {
            self.speak(party);
        } else {
            let before = self.parties[party].mute;
            self.parties[party].wake(wake, &mut wishes);
            if self.parties[party].mute && !before {
                self.dies(party);
            }
        }
        self.grant(party, wishes)
    }

    /// A party has died in mid-call: its session must not be refreshed for it.
    fn dies(&mut self, place: usize) {
        self.tell(&format!("party {place} dies"));
        let session = self.parties[place].calls.last().and_then(|call| call.session);
        let name = self.calls[place / 2].clone().unwrap_or_default();
        if let (Some(session), Some(account)) = (session, self.audit.accounts.get_mut(&name)) {
            let until = self.now + Duration::from_secs(u64::from(session.seconds) + 5);
            let before = account.ends_before.unwrap_or(until);
            account.ends_before = Some(until.min(before));
        }
    }

    fn grant(&mut self, place: usize, wishes: Vec<Wish>) -> Result<(), Broken> {
        for wish in wishes {
            match wish {
                // Whoever is behind a dead server is not heard.
                Wish::Send { from, .. } if server_at(from).is_some_and(|it| !self.servers.is_alive(it)) => {}
                Wish::Send { from, bytes } => {
                    let occurrence = Occurrence::SipToUs { from, bytes };
                    self.schedule.send(self.now, &mut self.random, self.weather, &occurrence);
                }
                Wish::Wake { wake: Wake::Speak, .. } if self.parties[place].speaking => {}
                Wish::Wake { after, wake } => {
                    self.parties[place].speaking |= wake == Wake::Speak;
                    self.schedule.at(self.now + after, Occurrence::Party { party: place, wake });
                }
                Wish::Complain(what) => return Err(format!("party {place}: {what}")),
            }
        }
        Ok(())
    }

    /// A party that is in a call says who it is, ten times a second.
    fn speak(&mut self, place: usize) {
        let party = &mut self.parties[place];
        let Some((from, port)) = party.speaks() else {
            party.speaking = false;
            return;
        };
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
        // Not for ever.
        let (said, lasting) = (self.parties[place].sequence, self.lasts(place / 2));
        if said < 200 {
            let pause = match said {
                ..15 => 100,
                15.. if lasting => 2_000,
                15.. => 250,
            };
            let next = self.now + Duration::from_millis(pause);
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
