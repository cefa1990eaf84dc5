//! A link between a node and the control plane that can be cut.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, Weak};
use std::thread;

/// What becomes of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Passes,
    /// Connections end, and new ones are closed at once.
    Cut,
    /// Nothing arrives, and nobody is told; what was sent arrives once it passes again.
    Silent,
    /// The relay is gone.
    Over,
}

struct Shared {
    to: SocketAddr,
    link: Mutex<Link>,
    changed: Condvar,
    open: Mutex<Vec<Weak<TcpStream>>>,
}

/// A relay on an address of its own; it ends when it is dropped.
pub(crate) struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Relay {
    pub(crate) fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            to,
            link: Mutex::new(Link::Passes),
            changed: Condvar::new(),
            open: Mutex::default(),
        });
        let serving = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                match serving.link() {
                    Link::Over => return,
                    // dropped, so closed
                    Link::Cut => {}
                    Link::Passes | Link::Silent => {
                        if let Ok(stream) = stream {
                            // who cannot be reached is told so by the end of the connection
                            let _ = serving.carry(stream);
                        }
                    }
                }
            }
        });
        Self { address, shared }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn set(&self, link: Link) {
        *self.shared.link.lock().unwrap() = link;
        self.shared.changed.notify_all();
        if matches!(link, Link::Cut | Link::Over) {
            let mut open = self.shared.open.lock().unwrap();
            for stream in open.drain(..).filter_map(|stream| stream.upgrade()) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.set(Link::Over);
        // wakes the accept loop
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn link(&self) -> Link {
        *self.link.lock().unwrap()
    }

    fn carry(self: &Arc<Self>, near: TcpStream) -> io::Result<()> {
        let far = TcpStream::connect(self.to)?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        let (near, far) = (Arc::new(near), Arc::new(far));
        {
            let mut open = self.open.lock().unwrap();
            open.retain(|stream| stream.strong_count() > 0);
            open.extend([Arc::downgrade(&near), Arc::downgrade(&far)]);
        }
        if self.link() == Link::Cut {
            // it was cut meanwhile: dropped, so closed
            return Ok(());
        }
        for (from, to) in [(near.clone(), far.clone()), (far, near)] {
            let shared = self.clone();
            thread::spawn(move || shared.copy(&from, &to));
        }
        Ok(())
    }

    fn copy(&self, mut from: &TcpStream, mut to: &TcpStream) {
        let mut part = [0; 16 * 1024];
        while let Ok(n @ 1..) = from.read(&mut part) {
            let link = self.link.lock().unwrap();
            let waited = self.changed.wait_while(link, |link| *link == Link::Silent);
            drop(waited.unwrap());
            if to.write_all(&part[..n]).is_err() {
                break;
            }
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    }
}
