//! The endpoint as a whole, with the real legs below it.

mod admission;
mod inheritances;
mod journeys;
mod keepers;
mod node;
mod recoveries;
mod routing;
mod strays;
mod ways;
