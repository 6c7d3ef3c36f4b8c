//! As much of HTTP/1.1 as a load needs: complete responses with a length, on connections that stay open.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::bail;

/// A response in a buffer.
pub struct Response<'b> {
    pub status: u16,
    pub body: &'b [u8],
}

/// The response at the beginning of `buffer`; `None` while it is not whole.
pub fn response(buffer: &[u8]) -> Option<Response<'_>> {
    let head = buffer.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let status = std::str::from_utf8(buffer.get(9..12)?).ok()?.parse().ok()?;
    let mut body = 0;
    for line in buffer[..head].split(|b| *b == b'\n') {
        if line.len() > 15 && line[..15].eq_ignore_ascii_case(b"content-length:") {
            body = std::str::from_utf8(&line[15..]).ok()?.trim().parse().ok()?;
        }
    }
    Some(Response { status, body: buffer.get(head..head + body)? })
}

/// A connection that blocks.
pub struct Line {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Line {
    pub fn open(address: SocketAddr) -> anyhow::Result<Line> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(Line { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends a request and waits for its response.
    pub fn ask(&mut self, request: &[u8]) -> anyhow::Result<Response<'_>> {
        self.stream.write_all(request)?;
        self.buffer.clear();
        let mut piece = [0; 4096];
        while response(&self.buffer).is_none() {
            let n = self.stream.read(&mut piece)?;
            if n == 0 {
                bail!("the connection was closed");
            }
            self.buffer.extend_from_slice(&piece[..n]);
        }
        Ok(response(&self.buffer).expect("it is whole"))
    }
}

/// The status of one GET on a connection of its own.
pub fn get(address: SocketAddr, path: &str) -> anyhow::Result<u16> {
    let mut line = Line::open(address)?;
    Ok(line.ask(format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n").as_bytes())?.status)
}
