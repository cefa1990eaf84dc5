//! A link that can be cut: connections to it go on to somewhere else.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Shared {
    cut: bool,
    open: Vec<TcpStream>,
}

/// Listens on loopback, and passes on what comes.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

impl Relay {
    pub fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared: Arc<Mutex<Shared>> = Arc::default();
        let held = Arc::downgrade(&shared);
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Some(shared) = held.upgrade() else { return };
                // under the lock: none is missed by who cuts the link
                let mut shared = shared.lock().expect("no holder panics");
                if shared.cut {
                    continue;
                }
                let Ok(far) = TcpStream::connect(target) else {
                    continue;
                };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let copy = |stream: &TcpStream| stream.try_clone().expect("a descriptor");
                    let (mut from, mut to) = (copy(from), copy(to));
                    shared.open.push(copy(&from));
                    std::thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections; new ones are closed at once.
    pub fn cut(&self) {
        let mut shared = self.shared.lock().expect("no holder panics");
        shared.cut = true;
        for stream in shared.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// New connections go through again.
    pub fn mend(&self) {
        self.shared.lock().expect("no holder panics").cut = false;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.cut();
        // the listener's thread looks up, and ends
        drop(std::mem::take(&mut self.shared));
        let _ = TcpStream::connect(self.address);
    }
}
