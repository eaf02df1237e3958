//! The answer to a submit. It goes to the caller, who may have gone away, after a callback that
//! runs in any case.

use crate::actors::protocol::{Failure, Submitted};
use ractor::RpcReplyPort;

/// A callback that runs once the result of a submit is known. It runs even if the work is lost; the
/// result is then `Unavailable`.
#[derive(Default)]
pub struct Afterwards(Option<Box<Act>>);

/// Receives the result of a submit.
type Act = dyn FnOnce(&Result<Submitted, Failure>) + Send;

impl Afterwards {
    /// Runs `act` with the result. What `act` owns is held until then.
    pub fn new(act: impl FnOnce(&Result<Submitted, Failure>) + Send + 'static) -> Self {
        Self(Some(Box::new(act)))
    }

    fn act(&mut self, answer: &Result<Submitted, Failure>) {
        if let Some(act) = self.0.take() {
            act(answer);
        }
    }
}

impl Drop for Afterwards {
    fn drop(&mut self) {
        self.act(&Err(unanswered()));
    }
}

/// The recipients of the answer to a submit.
pub struct Answering {
    pub reply: RpcReplyPort<Result<Submitted, Failure>>,
    pub afterwards: Afterwards,
}

impl Answering {
    /// Sends the answer.
    pub fn send(self, answer: Result<Submitted, Failure>) {
        let Self { reply, mut afterwards } = self;
        afterwards.act(&answer);
        let _ = reply.send(answer);
    }
}

/// The failure for a caller that got no answer.
pub(super) fn unanswered() -> Failure {
    Failure::Unavailable("no answer arrived in time; it is not known whether it was done, and sending it again is safe".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    fn heard() -> (Afterwards, Arc<Mutex<Vec<String>>>) {
        let heard = Arc::<Mutex<Vec<String>>>::default();
        let told = Arc::clone(&heard);
        (Afterwards::new(move |answer| told.lock().unwrap().push(format!("{answer:?}"))), heard)
    }

    #[test]
    fn the_follow_up_gets_the_answer_once_even_if_the_caller_is_gone() {
        let (afterwards, heard) = heard();
        let (reply, caller) = ractor::concurrency::oneshot();
        drop(caller);
        Answering { reply: reply.into(), afterwards }.send(Ok(Submitted::KeyUsed));
        assert_eq!(*heard.lock().unwrap(), ["Ok(KeyUsed)"]);
    }

    #[test]
    fn the_follow_up_of_lost_work_gets_an_unavailable_error() {
        let (afterwards, heard) = heard();
        drop(afterwards);
        let heard = heard.lock().unwrap();
        assert!(heard.len() == 1 && heard[0].starts_with("Err(Unavailable("), "{heard:?}");
    }
}
