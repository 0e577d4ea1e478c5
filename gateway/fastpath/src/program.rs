//! The program in the kernel: its object, its constants, its maps.

use std::net::IpAddr;
use std::path::Path;

use aya::maps::{ArrayOfMaps, Map, MapData, PerCpuArray, RingBuf};
use aya::programs::Xdp;
use aya::{Ebpf, EbpfLoader, include_bytes_aligned};

use crate::counters::{PassReason, PathCounters};
use crate::error::{Error, kernel};
use crate::interfaces::Interface;
use crate::settings::{InterfaceMode, MOST_ADDRESSES, MOST_INTERFACES, Settings};
use crate::table::{ENTRIES_PER_ADDRESS, words};

static PROGRAM: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/fastpath.o"));

/// Why there is none; empty if there is one.
const FAILURE: &str = env!("DUOGATE_FASTPATH_FAILURE");

/// The measure of what any XDP relay costs: an object with one program, `bare`, and one map, `targets`. Empty where
/// the crate was built without clang.
pub static BARE_PROGRAM: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/bare.o"));

/// `BPF_MAP_TYPE_RINGBUF` of linux/bpf.h.
const RING_TYPE: u32 = 27;

/// Bits of `interface_flags` in bpf/fastpath.h.
const VIRTUAL: u32 = 1;
const NATIVE: u32 = 2;

/// Words of `struct counters` before the reasons.
const COUNTER_WORDS: usize = 6;

/// What the counters' map holds for each processor.
type CounterWords = [u64; COUNTER_WORDS + PassReason::COUNT];

/// Names of the maps that are shared by successive programs, and pinned.
const SHARED: [&str; 3] = ["table", "counters", "taps"];

/// The program, verified and ready to be attached.
#[derive(Debug)]
pub(crate) struct Program {
    ebpf: Ebpf,
}

/// Says whether a program was built in.
pub(crate) fn available() -> Result<(), Error> {
    built(FAILURE)
}

const fn built(failure: &'static str) -> Result<(), Error> {
    if failure.is_empty() { Ok(()) } else { Err(Error::NoProgram(failure)) }
}

impl Program {
    /// Creates the maps, or takes those that are pinned in `folder`, and loads the program.
    pub(crate) fn load(
        settings: &Settings,
        interfaces: &[(Interface, InterfaceMode)],
        folder: Option<&Path>,
    ) -> Result<Self, Error> {
        available()?;
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let addresses = count(settings.addresses.len());
        let (families, address_words) = address_constants(&settings.addresses);
        let (numbers, flags) = interface_constants(interfaces);
        let (interface_count, traffic_class) = (count(interfaces.len()), u32::from(settings.traffic_class));
        let mut loader = EbpfLoader::new();
        loader
            .map_max_entries("table", addresses * ENTRIES_PER_ADDRESS)
            .override_global("address_count", &addresses, true)
            .override_global("address_family", &families, true)
            .override_global("address_words", &address_words, true)
            .override_global("interface_count", &interface_count, true)
            .override_global("interface_numbers", &numbers, true)
            .override_global("interface_flags", &flags, true)
            .override_global("traffic_class", &traffic_class, true);
        if let Some(folder) = folder {
            for name in SHARED {
                loader.map_pin_path(name, folder.join(name));
            }
        }
        let mut ebpf = loader.load(PROGRAM).map_err(|error| kernel("maps", error))?;
        xdp(&mut ebpf)?.load().map_err(|error| kernel("program", error))?;
        Ok(Self { ebpf })
    }

    /// The program itself, to attach it.
    pub(crate) fn xdp(&mut self) -> Result<&mut Xdp, Error> {
        xdp(&mut self.ebpf)
    }

    /// The program itself, to run it.
    pub(crate) fn loaded(&self) -> Result<&Xdp, Error> {
        let program = self.ebpf.program("duogate").ok_or_else(|| missing("program"))?;
        program.try_into().map_err(|error| kernel("program", error))
    }

    /// The table's map.
    pub(crate) fn table(&self) -> Result<&MapData, Error> {
        match self.ebpf.map("table") {
            Some(Map::Array(map)) => Ok(map),
            _ => Err(missing("table")),
        }
    }

    /// Makes the rings, or takes those that are pinned, and shows them to the program.
    pub(crate) fn rings(
        &mut self,
        settings: &Settings,
        folder: Option<&Path>,
    ) -> Result<Vec<RingBuf<MapData>>, Error> {
        let map = self.ebpf.map_mut("taps").ok_or_else(|| missing("taps"))?;
        let mut taps = ArrayOfMaps::<_, MapData>::try_from(map).map_err(|error| kernel("taps", error))?;
        (0..settings.rings)
            .map(|place| {
                let ring = ring(place, settings.ring_octets, folder)?;
                taps.set(u32::from(place), &ring, 0).map_err(|error| kernel("taps", error))?;
                RingBuf::try_from(Map::RingBuf(ring)).map_err(|error| kernel("ring", error))
            })
            .collect()
    }

    /// The counters, summed over all processors.
    pub(crate) fn counters(&self) -> Result<PathCounters, Error> {
        let map = self.ebpf.map("counters").ok_or_else(|| missing("counters"))?;
        let map = PerCpuArray::<_, CounterWords>::try_from(map).map_err(|error| kernel("counters", error))?;
        let values = map.get(&0, 0).map_err(|error| kernel("counters", error))?;
        let mut sum: CounterWords = [0; COUNTER_WORDS + PassReason::COUNT];
        for value in values.iter() {
            sum.iter_mut().zip(value).for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
        }
        let [forwarded, octets, duplicates, tapped, tap_full, lookups, passed @ ..] = sum;
        Ok(PathCounters { forwarded, octets, duplicates, tapped, tap_full, lookups, passed })
    }
}

fn xdp(ebpf: &mut Ebpf) -> Result<&mut Xdp, Error> {
    let program = ebpf.program_mut("duogate").ok_or_else(|| missing("program"))?;
    program.try_into().map_err(|error| kernel("program", error))
}

fn missing(what: &'static str) -> Error {
    Error::Kernel { what, source: "not in the object".into() }
}

fn ring(place: u8, octets: u32, folder: Option<&Path>) -> Result<MapData, Error> {
    let path = folder.map(|folder| folder.join(format!("ring{place}")));
    if let Some(path) = path.as_ref().filter(|path| path.exists()) {
        return MapData::from_pin(path).map_err(|error| kernel("ring", error));
    }
    let description = aya_obj::Map::new_from_params(RING_TYPE, 0, 0, octets, 0);
    let ring = MapData::create(description, "ring", None).map_err(|error| kernel("ring", error))?;
    if let Some(path) = path {
        ring.pin(path).map_err(|error| kernel("pin of a ring", error))?;
    }
    Ok(ring)
}

fn address_constants(addresses: &[IpAddr]) -> ([u32; MOST_ADDRESSES], [[u32; 4]; MOST_ADDRESSES]) {
    let mut families = [0; MOST_ADDRESSES];
    let mut all = [[0; 4]; MOST_ADDRESSES];
    for ((address, family), place) in addresses.iter().zip(&mut families).zip(&mut all) {
        (*family, *place) = match address {
            IpAddr::V4(address) => (4, [0, 0, 0, u32::from_ne_bytes(address.octets())]),
            IpAddr::V6(address) => (6, words(*address)),
        };
    }
    (families, all)
}

fn interface_constants(
    interfaces: &[(Interface, InterfaceMode)],
) -> ([u32; MOST_INTERFACES], [u32; MOST_INTERFACES]) {
    let (mut numbers, mut flags) = ([0; MOST_INTERFACES], [0; MOST_INTERFACES]);
    for (((interface, mode), number), flag) in interfaces.iter().zip(&mut numbers).zip(&mut flags) {
        *number = interface.number;
        let native = if *mode == InterfaceMode::Native { NATIVE } else { 0 };
        *flag = native | if interface.is_virtual { VIRTUAL } else { 0 };
    }
    (numbers, flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_clang_says_what_it_lacks() {
        let text = built("/nowhere/clang does not run: No such file").unwrap_err().to_string();
        assert!(text.contains("install clang") && text.contains("/nowhere/clang does not run"), "{text}");
        assert!(built("").is_ok());
        // What is built in and what is said about it agree, whichever way this was built.
        assert_eq!(PROGRAM.is_empty(), !FAILURE.is_empty());
    }
}
