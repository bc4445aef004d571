//! Faults of the store and of functions, one after another.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use testkit::server::{Fault, Framing};
use testkit::token::now;

use super::system::{Checker, Random};

impl Checker {
    /// Injects one fault after another until the workers are done.
    pub(super) async fn inject_faults(&self, operations: u64) {
        let mut random = Random(now() ^ 0xDEAD_BEEF_CAFE);
        let server_error = || Fault::Answer(500, "{}".to_owned());
        while self.counts.operations.load(Ordering::SeqCst) < operations {
            tokio::time::sleep(Duration::from_millis(200 + random.below(600))).await;
            self.faults.lock().unwrap().push((Instant::now(), None));
            self.counts.faults.fetch_add(1, Ordering::SeqCst);
            let time = Duration::from_millis(50 + random.below(400));
            let any = usize::try_from(random.below(2)).unwrap();
            match random.below(14) {
                0 => self.store_fault(Fault::Slow(100), time).await,
                1 => self.store_fault(Fault::Cut, time).await,
                2 => self.store_fault(server_error(), time).await,
                3 => self.store_fault(Fault::Hang, time).await,
                // Writes succeed, but their responses are lost.
                4 => {
                    self.store.set_fault_after(Fault::Cut);
                    tokio::time::sleep(time).await;
                    self.store.set_fault(Fault::None);
                }
                // All connections are closed, and new ones are refused for a while.
                5 => {
                    self.store.close_connections();
                    self.store_fault(Fault::Cut, time).await;
                }
                6 => self.deciders[any].freeze(time).await,
                7 => self.logouts[any].freeze(time).await,
                8 => {
                    self.counts.restarts.fetch_add(1, Ordering::SeqCst);
                    let database = self.database.as_ref().expect("a run with faults");
                    database.restart(time).await;
                }
                // Responses that are not whole, to requests that were executed.
                9 => {
                    let framing = Framing::ALL[usize::try_from(random.below(4)).unwrap()];
                    let bytes = usize::try_from(random.below(300)).unwrap();
                    self.store_fault(Fault::Part(bytes, framing), time).await;
                }
                // The keys are cached; a function that starts meanwhile has none.
                10 => {
                    self.jwks.set_fault(Fault::Cut);
                    self.deciders[any].kill().await;
                    tokio::time::sleep(time).await;
                    self.jwks.set_fault(Fault::None);
                }
                11 => {
                    self.cognito.set_throttled(true);
                    tokio::time::sleep(time).await;
                    self.cognito.set_throttled(false);
                }
                _ => match random.below(5) {
                    0 => self.deciders[any].kill().await,
                    3 => self.deciders[any].stop().await,
                    1 => self.events.kill().await,
                    2 => self.resets.kill().await,
                    _ => self.logouts[any].kill().await,
                },
            }
            if let Some(last) = self.faults.lock().unwrap().last_mut() {
                last.1 = Some(Instant::now());
            }
        }
    }

    async fn store_fault(&self, fault: Fault, time: Duration) {
        self.store.set_fault(fault);
        tokio::time::sleep(time).await;
        self.store.set_fault(Fault::None);
    }
}
