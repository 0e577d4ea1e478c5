//! The methods of the CTI actions.

use alloc::boxed::Box;

use super::{Endpoint, Input, check};
use crate::clock::Now;
use crate::resource::action::{ActionParameters, Method, Order, Prepared, Stop};
use crate::resource::error::ApiError;

impl Endpoint {
    /// Checks an action's parameters and whether it may be started, without starting it: call this, prepare its
    /// prompt or file at the gateway, then [`Endpoint::start_action`].
    ///
    /// # Errors
    /// `not_found`, `invalid_params` with the parameter named, `wrong_state`; `overloaded` if what a party says would have
    /// to be decoded for a recording, and `max_transcoded` callbacks need that already.
    pub fn check_action(
        &self,
        res_id: &str,
        method: Method,
        parameters: &ActionParameters,
    ) -> Result<Order, ApiError> {
        let order = check::action::order(&self.settings, method, parameters)?;
        let (serial, slot) = self.find(res_id)?;
        slot.machine.may_start(&order)?;
        self.may_decode(serial, &order)?;
        Ok(order)
    }

    /// Starts an action. Its end is one event.
    ///
    /// # Errors
    /// `not_found`, `wrong_state`, `overloaded`: then what was `prepared` is still the shell's. `media_file` if the order has a
    /// prompt or a recording and `prepared` has not.
    pub fn start_action(
        &mut self,
        now: Now,
        res_id: &str,
        order: Order,
        prepared: Prepared,
    ) -> Result<(), ApiError> {
        let (serial, slot) = self.find(res_id)?;
        slot.machine.may_start(&order)?;
        let decodes = self.may_decode(serial, &order)?;
        let content = order.content().map(|(parameter, _)| parameter);
        for (parameter, wanted, there) in [
            (content.unwrap_or("content"), content.is_some(), prepared.sound.is_some()),
            ("record_file", matches!(order, Order::Record(_)), prepared.recording.is_some()),
        ] {
            if wanted && !there {
                return Err(ApiError::MediaFile { parameter, detail: "was not prepared".into() });
            }
        }
        if let Some(recording) = prepared.recording {
            self.recordings.insert(recording, serial);
        }
        if decodes {
            self.decode(serial);
        }
        self.tell(now, serial, Input::Start { order: Box::new(order), prepared });
        Ok(())
    }

    /// Stops an action.
    ///
    /// # Errors
    /// `not_found`, `invalid_params` with the parameter named; `wrong_state` if none of that kind runs.
    pub fn stop_action(
        &mut self,
        now: Now,
        res_id: &str,
        method: Method,
        parameters: &ActionParameters,
    ) -> Result<(), ApiError> {
        let stop: Stop = check::action::stop(method, parameters)?;
        let (serial, slot) = self.find(res_id)?;
        slot.machine.may_stop(stop)?;
        self.tell(now, serial, Input::Stop(stop));
        Ok(())
    }
}
