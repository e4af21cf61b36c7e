//! Connections that a fault can reset.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};

use super::{Sandbox, lock};

/// True if a connection is to be reset instead of answered.
#[derive(Debug, Clone, Default)]
pub(super) struct ConnectionControl(Arc<AtomicBool>);

impl ConnectionControl {
    /// Resets the connection as soon as an answer is written.
    pub(super) fn reset(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A connection with its fate.
pub(super) struct Wire {
    stream: TcpStream,
    connection: ConnectionControl,
}

impl Wire {
    /// Returns true if the connection is to be reset, and makes the coming close a reset.
    fn is_reset(&self) -> bool {
        self.connection.0.load(Ordering::SeqCst) && self.stream.set_zero_linger().is_ok()
    }
}

fn reset<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_reset() { reset() } else { Pin::new(&mut self.stream).poll_write(context, bytes) }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_reset() { reset() } else { Pin::new(&mut self.stream).poll_flush(context) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_reset() { reset() } else { Pin::new(&mut self.stream).poll_shutdown(context) }
    }
}

/// Accepts connections, except those that a fault refuses.
pub(super) struct FaultyListener {
    listener: TcpListener,
    sandbox: Sandbox,
}

impl FaultyListener {
    pub(super) fn new(listener: TcpListener, sandbox: Sandbox) -> Self {
        Self { listener, sandbox }
    }
}

impl Listener for FaultyListener {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            if lock(&self.sandbox.shared.faults).refuses() {
                // A close that is a reset tells the client at once.
                let _ = stream.set_zero_linger();
                continue;
            }
            // Small answers go out at once.
            let _ = stream.set_nodelay(true);
            return (Wire { stream, connection: ConnectionControl::default() }, address);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, FaultyListener>> for ConnectionControl {
    fn connect_info(stream: IncomingStream<'_, FaultyListener>) -> Self {
        stream.io().connection.clone()
    }
}
