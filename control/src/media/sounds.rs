//! Prompts and tones: decoded once, encoded for each codec, handed to the gateway, kept while they are used.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use duogate_channel::identity::Sound;
use duogate_channel::message::ToGateway;
use duogate_channel::segment::SealedBytes;
use duogate_channel::sound::Codec;
use duogate_configuration::Ringback;
use duogate_signaling::resource::plan::SoundSet;
use tokio::sync::Semaphore;

use super::link::{Link, LinkError};
use super::problem::FileProblem;
use super::roots::Root;
use super::{apart, tone};

/// Sounds that are kept at once. The gateway has a table of them, two places each.
const MOST_SOUNDS: usize = 256;

/// Files that are decoded at once; each may take some 100 MB of memory meanwhile.
const DECODERS: usize = 2;

/// Why a sound cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SoundError {
    /// The file.
    #[error("{0}")]
    File(#[from] FileProblem),
    /// The gateway.
    #[error("{0}")]
    Link(#[from] LinkError),
    /// All places are taken by calls under way.
    #[error("too many different prompts are in use at once")]
    Full,
}

/// A file as it was when it was decoded, or a tone.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Key {
    File {
        device: u64,
        inode: u64,
        size: u64,
        modified: (i64, i64),
    },
    /// Several, one after the other.
    List(Vec<Key>),
    Ringback(Ringback),
}

/// What a sound is made of.
#[derive(Debug)]
enum Material {
    Files(Vec<File>),
    Ringback(Ringback),
}

#[derive(Debug)]
struct Encoded {
    sound: Sound,
    codec: Codec,
    bytes: usize,
    file: OwnedFd,
}

/// A sound that is kept. While a call holds it, it stays at the gateway.
#[derive(Debug)]
pub(crate) struct Kept {
    encodings: Vec<Encoded>,
    /// The life of the gateway that has it; changed under the lock by whoever hands it over.
    at: tokio::sync::Mutex<Option<u64>>,
    used: AtomicU64,
}

impl Kept {
    /// Its names.
    pub(crate) fn set(&self) -> SoundSet {
        let of = |codec| self.encodings.iter().find(|encoded| encoded.codec == codec);
        let sound = |codec| of(codec).map(|encoded| encoded.sound);
        SoundSet {
            pcma: sound(Codec::Pcma),
            pcmu: sound(Codec::Pcmu),
            g722: sound(Codec::G722),
            opus: sound(Codec::Opus),
        }
    }

    fn bytes(&self) -> usize {
        self.encodings.iter().map(|encoded| encoded.bytes).sum()
    }

    /// Makes sure that the gateway has it.
    pub(crate) async fn present(&self, link: &Link) -> Result<(), LinkError> {
        let epoch = link.epoch().ok_or(LinkError::Apart)?;
        let mut at = self.at.lock().await;
        if *at == Some(epoch) {
            return Ok(());
        }
        let handed = self.hand_over(link).await;
        if handed.is_ok() {
            *at = Some(epoch);
        } else {
            // So that the names are free for the next try.
            self.forget(link);
        }
        handed
    }

    async fn hand_over(&self, link: &Link) -> Result<(), LinkError> {
        for encoded in &self.encodings {
            let file = encoded.file.try_clone().map_err(|error| LinkError::Refused(error.to_string()))?;
            let bytes = encoded.bytes as u64;
            let message = ToGateway::Sound { sound: encoded.sound, codec: encoded.codec, bytes };
            link.hand_over(message, file).await?;
        }
        Ok(())
    }

    fn forget(&self, link: &Link) {
        for encoded in &self.encodings {
            link.forget(ToGateway::ForgetSound { sound: encoded.sound });
        }
    }
}

type Place = Arc<tokio::sync::OnceCell<Arc<Kept>>>;

/// All sounds.
#[derive(Debug)]
pub(crate) struct Sounds {
    root: Root,
    longest_seconds: u32,
    /// Memory that kept sounds may take.
    most_bytes: usize,
    link: Link,
    /// Codecs beside G.711 that calls may have, as bits by their place in [`Codec::ALL`]. A sound is kept anew when
    /// they become more.
    wide: AtomicU8,
    kept: Mutex<HashMap<(Key, u8), Place>>,
    decoders: Semaphore,
    next: AtomicU32,
    uses: AtomicU64,
}

impl Sounds {
    /// Opens the media root. Kept sounds may take so many bytes, those that calls need beyond it apart.
    pub(crate) fn open(
        root: &Path,
        longest_seconds: u32,
        most_bytes: usize,
        link: Link,
    ) -> std::io::Result<Self> {
        // A gateway may still hold sounds of a former life of this process under its names.
        let first = uuid::Uuid::new_v4().as_u64_pair().0;
        Ok(Self {
            root: Root::open(root)?,
            longest_seconds,
            most_bytes,
            link,
            wide: AtomicU8::new(0),
            kept: Mutex::default(),
            decoders: Semaphore::new(DECODERS),
            next: AtomicU32::new(u32::try_from(first >> 32).unwrap_or(1)),
            uses: AtomicU64::new(0),
        })
    }

    /// Calls may have these codecs, too, from now on: what is asked for next is encoded in them.
    pub(crate) fn also(&self, codecs: &[Codec]) {
        self.wide.fetch_or(bits(codecs), Ordering::Relaxed);
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<(Key, u8), Place>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A prompt, ready to be played. Keep what is returned for as long as a call may play it.
    pub(crate) async fn prompt(self: &Arc<Self>, text: &str) -> Result<Arc<Kept>, SoundError> {
        let (key, file) = self.open_file(text).await?;
        self.have(key, Material::Files(vec![file])).await
    }

    /// Prompts one after the other as one sound, without a gap between them.
    pub(crate) async fn prompts(self: &Arc<Self>, texts: &[String]) -> Result<Arc<Kept>, SoundError> {
        if let [text] = texts {
            return self.prompt(text).await;
        }
        let (mut keys, mut files) = (Vec::new(), Vec::new());
        for text in texts {
            let (key, file) = self.open_file(text).await?;
            keys.push(key);
            files.push(file);
        }
        self.have(Key::List(keys), Material::Files(files)).await
    }

    async fn open_file(self: &Arc<Self>, text: &str) -> Result<(Key, File), SoundError> {
        let (sounds, text) = (Arc::clone(self), text.to_owned());
        let opened = blocking(move || {
            let file = sounds.root.read(&sounds.root.relative(&text)?)?;
            let status = file.metadata().map_err(FileProblem::Io)?;
            let modified = (status.mtime(), status.mtime_nsec());
            let key = Key::File { device: status.dev(), inode: status.ino(), size: status.size(), modified };
            Ok::<_, FileProblem>((key, file))
        });
        Ok(opened.await?)
    }

    /// A country's ringback tone.
    pub(crate) async fn ringback(self: &Arc<Self>, country: Ringback) -> Result<Arc<Kept>, SoundError> {
        self.have(Key::Ringback(country), Material::Ringback(country)).await
    }

    async fn have(self: &Arc<Self>, key: Key, material: Material) -> Result<Arc<Kept>, SoundError> {
        let wide = self.wide.load(Ordering::Relaxed);
        let key = (key, wide);
        let place = self.place(&key)?;
        // Several calls that need the same sound at once wait for the one that decodes it.
        let made = place.get_or_try_init(|| self.make(material, wide)).await;
        let kept = match made {
            Ok(kept) => Arc::clone(kept),
            Err(error) => {
                // Another place may be there by now, with a sound in it that others play.
                let mut all = self.kept();
                if all.get(&key).is_some_and(|other| Arc::ptr_eq(other, &place)) {
                    all.remove(&key);
                }
                return Err(error);
            }
        };
        kept.used.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        kept.present(&self.link).await?;
        Ok(kept)
    }

    fn place(&self, key: &(Key, u8)) -> Result<Place, SoundError> {
        let mut kept = self.kept();
        if let Some(place) = kept.get(key) {
            return Ok(Arc::clone(place));
        }
        let mut bytes: usize = kept.values().filter_map(|place| place.get()).map(|kept| kept.bytes()).sum();
        // One that is large may need the room of many that are small.
        while kept.len() >= MOST_SOUNDS || bytes >= self.most_bytes {
            let unused = kept
                .iter()
                .filter(|(_, place)| Arc::strong_count(place) == 1)
                .filter_map(|(key, place)| Some((key, place.get()?)))
                .filter(|(_, sound)| Arc::strong_count(sound) == 1);
            let oldest = unused.min_by_key(|(_, sound)| sound.used.load(Ordering::Relaxed));
            let oldest = oldest.map(|(key, _)| key.clone()).ok_or(SoundError::Full)?;
            if let Some(sound) = kept.remove(&oldest).and_then(|place| place.get().cloned()) {
                bytes = bytes.saturating_sub(sound.bytes());
                sound.forget(&self.link);
            }
        }
        let place = Place::default();
        kept.insert(key.clone(), Arc::clone(&place));
        Ok(place)
    }

    async fn make(&self, material: Material, wide: u8) -> Result<Arc<Kept>, SoundError> {
        // The semaphore is never closed; were it, decoding would go on unbounded rather than stop.
        let _turn = self.decoders.acquire().await;
        let wanted = |codec: &Codec| codec.is_g711() || bits(&[*codec]) & wide != 0;
        let codecs = Codec::ALL.into_iter().filter(wanted);
        let names: Vec<(Codec, Sound)> = codecs.map(|codec| (codec, self.name())).collect();
        let longest = self.longest_seconds;
        let kept = blocking(move || {
            let samples = match material {
                Material::Files(files) => decode_all(files, longest, apart::decode)?,
                Material::Ringback(country) => tone::render(country),
            };
            let encode = |(codec, sound)| {
                let bytes = encoded(codec, &samples)?;
                let file = SealedBytes::create(&bytes).map_err(FileProblem::Io)?;
                Ok::<_, FileProblem>(Encoded { sound, codec, bytes: bytes.len(), file })
            };
            let encodings: Result<Vec<_>, _> = names.into_iter().map(encode).collect();
            let encodings = encodings?;
            Ok(Kept { encodings, at: tokio::sync::Mutex::new(None), used: AtomicU64::new(0) })
        });
        Ok(Arc::new(kept.await?))
    }

    fn name(&self) -> Sound {
        Sound(self.next.fetch_add(1, Ordering::Relaxed))
    }
}

/// A set of codecs, as bits by their place in [`Codec::ALL`].
fn bits(codecs: &[Codec]) -> u8 {
    let bit = |place: usize| if codecs.contains(&Codec::ALL[place]) { 1 << place } else { 0 };
    (0..Codec::ALL.len()).map(bit).sum()
}

/// 8 kHz sound in a codec, in whole packets of 20 ms where the codec has packets.
fn encoded(codec: Codec, samples: &[i16]) -> Result<Vec<u8>, FileProblem> {
    let failed = |error| FileProblem::Unsupported(format!("it cannot be encoded: {error}"));
    duogate_codecs::prompt(codec, samples).map_err(failed)
}

/// Files one after the other; together they may be as long as one.
fn decode_all(
    files: Vec<File>,
    longest_seconds: u32,
    decode: impl Fn(File, u32) -> Result<Vec<i16>, FileProblem>,
) -> Result<Vec<i16>, FileProblem> {
    let mut all = Vec::new();
    for file in files {
        all.append(&mut decode(file, longest_seconds)?);
        if all.len() as u64 > u64::from(longest_seconds) * 8_000 {
            return Err(FileProblem::TooLong(format!(
                "the limit is {longest_seconds} seconds for all together"
            )));
        }
    }
    Ok(all)
}

/// Runs what may wait for the disk, or compute for long, where it holds nobody up.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FileProblem> + Send + 'static,
) -> Result<T, FileProblem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(FileProblem::NotSound("its decoder gave up".into())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Seek as _;

    use super::super::decode::decode;
    use super::*;

    /// A file of 8 kHz and 16 bits with these samples.
    fn file(samples: impl Iterator<Item = i16>) -> File {
        let mut file = tempfile::tempfile().unwrap();
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
        samples.for_each(|sample| writer.write_sample(sample).unwrap());
        writer.finalize().unwrap();
        file.rewind().unwrap();
        file
    }

    #[test]
    fn files_of_a_list_follow_each_other_without_a_gap_in_the_middle_of_a_packet_too() {
        // A ramp, cut where no packet ends.
        let parts = [0..1_001_i16, 1_001..1_500, 1_500..4_000];
        let decoded = decode_all(parts.map(file).into(), 10, decode).unwrap();
        // Conversion to floating point and back may turn the last bit.
        assert_eq!(decoded.len(), 4_000);
        assert!(decoded.iter().zip(0_i16..).all(|(found, said)| found.abs_diff(said) <= 1));
    }

    #[test]
    fn every_codec_has_whole_packets_of_the_same_sound() {
        let samples: Vec<i16> = (0..1_001).map(|n| (n % 40) * 100).collect();
        for (codec, octets) in [(Codec::Pcma, 1_001), (Codec::G722, 7 * 160), (Codec::Opus, 7 * 80)] {
            assert_eq!(encoded(codec, &samples).unwrap().len(), octets, "{codec:?}");
        }
        assert_eq!(bits(&[Codec::Opus, Codec::Pcma]), 0b1001);
    }

    #[test]
    fn a_list_may_be_as_long_as_one_file_and_no_longer() {
        let second = || file((0..8_000).map(|_| 5));
        assert_eq!(decode_all(vec![second(), second()], 2, decode).unwrap().len(), 16_000);
        let refused = decode_all(vec![second(), second(), second()], 2, decode);
        assert!(matches!(refused, Err(FileProblem::TooLong(_))));
    }

    /// A cache for so many octets, without a gateway.
    fn cache(most_bytes: usize) -> Sounds {
        let (events, _) = tokio::sync::mpsc::channel(1);
        let (link, _) = super::super::link::link(Path::new("/nowhere"), events);
        let root = tempfile::tempdir().unwrap();
        Sounds::open(root.path(), 10, most_bytes, link).unwrap()
    }

    fn key(number: u64) -> (Key, u8) {
        (Key::File { device: 1, inode: number, size: 1, modified: (0, 0) }, 0)
    }

    /// Puts a sound of so many octets into it, as one that was used last.
    fn keep(sounds: &Sounds, number: u64, bytes: usize) -> Result<Arc<Kept>, SoundError> {
        let place = sounds.place(&key(number))?;
        let encoded = |codec| {
            let file = SealedBytes::create(b"sound").unwrap();
            Encoded { sound: sounds.name(), codec, bytes: bytes / 2, file }
        };
        let encodings = vec![encoded(Codec::Pcma), encoded(Codec::Pcmu)];
        let used = AtomicU64::new(sounds.uses.fetch_add(1, Ordering::Relaxed));
        let kept = Arc::new(Kept { encodings, at: tokio::sync::Mutex::new(None), used });
        place.set(Arc::clone(&kept)).unwrap();
        Ok(kept)
    }

    fn held(sounds: &Sounds) -> Vec<u64> {
        (0..100).filter(|number| sounds.kept().contains_key(&key(*number))).collect()
    }

    #[test]
    fn the_sound_that_was_not_used_for_longest_makes_room() {
        let sounds = cache(1_000);
        let [first, _, _] = [0, 1, 2].map(|number| keep(&sounds, number, 400).unwrap());
        assert_eq!(held(&sounds), [0, 1, 2], "the limit is reached, not before");
        first.used.store(sounds.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        drop(first);
        keep(&sounds, 3, 400).unwrap();
        assert_eq!(held(&sounds), [0, 2, 3]);
    }

    #[test]
    fn a_large_sound_takes_the_room_of_many_small_ones() {
        let sounds = cache(1_000);
        (0..10).for_each(|number| drop(keep(&sounds, number, 100).unwrap()));
        keep(&sounds, 20, 900).unwrap();
        assert_eq!(held(&sounds), [1, 2, 3, 4, 5, 6, 7, 8, 9, 20]);
        keep(&sounds, 21, 900).unwrap();
        assert_eq!(held(&sounds), [20, 21], "as many go as there must");
    }

    #[test]
    fn what_a_call_needs_stays_and_no_more_is_taken_than_there_is_room_for() {
        let sounds = cache(1_000);
        let _used = keep(&sounds, 0, 600).unwrap();
        keep(&sounds, 1, 600).unwrap();
        keep(&sounds, 2, 300).unwrap();
        assert_eq!(held(&sounds), [0, 2], "the older one is in use");
        let _used_too = keep(&sounds, 3, 600).unwrap();
        assert!(matches!(keep(&sounds, 4, 600), Err(SoundError::Full)));
    }
}
