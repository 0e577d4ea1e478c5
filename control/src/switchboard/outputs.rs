//! Does what the endpoint wants done.

use duogate_signaling::endpoint::{LocateFailure, Output};

use super::Task;
use super::gateway::Sent;
use crate::clock;

impl Task {
    /// Empties the endpoint's outputs after one input.
    pub(super) fn drain(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Send { listener, destination, bytes } => {
                    self.network.send(listener, destination, &bytes);
                }
                Output::Media { shard, command } => match self.gateway.send(shard, command) {
                    Sent::Taken => {}
                    Sent::Congested => self.endpoint.media_congested(shard),
                    Sent::Unusable => self.distrust("its command ring is full or poisoned"),
                },
                Output::Note(note) => self.calls.note(&note),
                Output::Report(report) => {
                    self.metrics.reported(&report.event);
                    self.calls.report(*report);
                }
                Output::Locate { query, question } => {
                    if !self.names.locate(query, question) {
                        self.unlocated.push(query);
                    }
                }
                Output::Measured(measurement) => self.metrics.measured(measurement),
            }
        }
    }

    /// After a batch of inputs, before the next wait: hands over what has gathered.
    pub(super) fn settle(&mut self) {
        while let Some(query) = self.unlocated.pop() {
            self.endpoint.located(clock::now(), query, Err(LocateFailure::Timeout));
            self.drain();
        }
        while let Some(res_id) = self.calls.take_unnoted() {
            self.endpoint.unnoted(&res_id);
            self.drain();
        }
        self.calls.submit();
        if !self.gateway.flush() {
            self.distrust("its command ring is poisoned");
        }
    }
}
