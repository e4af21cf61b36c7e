//! HTTP/1.1 as far as both sides here need it: one message behind the other on a connection that stays open.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use crate::Result;

/// A connection with what was read from it already.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The length of the message in the buffer, so that the next one begins behind it.
    length: usize,
}

/// A request or an answer.
pub(crate) struct Message<'c> {
    /// `POST /path HTTP/1.1`, or `HTTP/1.1 200 OK`.
    pub(crate) first: &'c str,
    pub(crate) body: &'c [u8],
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(64 << 10), length: 0 })
    }

    pub(crate) fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(message)?)
    }

    /// Reads the next message; `None` where the other side has closed the connection.
    pub(crate) fn receive(&mut self) -> Result<Option<Message<'_>>> {
        self.buffer.drain(..self.length);
        self.length = 0;
        let mut searched = 0;
        let head = loop {
            if let Some(at) = self.buffer[searched..].windows(4).position(|four| four == b"\r\n\r\n") {
                break searched + at;
            }
            searched = self.buffer.len().saturating_sub(3);
            if !self.fill()? {
                return if self.buffer.is_empty() { Ok(None) } else { Err("the message breaks off".into()) };
            }
        };
        let lines = std::str::from_utf8(&self.buffer[..head])?;
        let body = lines.split("\r\n").skip(1).find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
        });
        self.length = head + 4 + body.transpose()?.unwrap_or(0);
        while self.buffer.len() < self.length {
            if !self.fill()? {
                return Err("the body breaks off".into());
            }
        }
        let first = std::str::from_utf8(&self.buffer[..head])?.split("\r\n").next().unwrap_or_default();
        Ok(Some(Message { first, body: &self.buffer[head + 4..self.length] }))
    }

    fn fill(&mut self) -> Result<bool> {
        let mut bytes = [0; 16 << 10];
        let read = self.stream.read(&mut bytes)?;
        self.buffer.extend_from_slice(&bytes[..read]);
        Ok(read > 0)
    }
}
