//! Messages on the socket between a server and its launcher: the length and the bytes; one of them
//! carries an open file.

use rustix::io::{FdFlags, fcntl_setfd, read, write};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

/// The longest message. A message is written in one piece, and the socket holds several.
const LONGEST: usize = 60 * 1024;
const HEAD: usize = 4;

/// Sends a message. If the reader has gone, this is an error and not a signal.
pub fn send(socket: BorrowedFd<'_>, message: &[u8], file: Option<BorrowedFd<'_>>) -> io::Result<()> {
    if message.len() > LONGEST {
        return Err(io::Error::other("what a runbook's `sandbox` and `limits` say is too long"));
    }
    let length = u32::try_from(message.len()).map_err(io::Error::other)?.to_be_bytes();
    let whole = [&length, message].concat();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files: Vec<_> = file.into_iter().collect();
    if !files.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&files));
    }
    let mut sent = sendmsg(socket, &[IoSlice::new(&whole)], &mut control, quietly())?;
    while sent < whole.len() {
        sent += write(socket, &whole[sent..])?;
    }
    Ok(())
}

/// Receives exactly one message, so that the next one is left for the process that takes over the
/// socket.
pub fn receive(socket: BorrowedFd<'_>) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    let mut length = [0; HEAD];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut length)], &mut control, RecvFlags::empty())?;
    let files = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => Some(files),
        _ => None,
    });
    let file = files.flatten().next();
    if let Some(file) = &file {
        fcntl_setfd(file, FdFlags::CLOEXEC)?;
    }
    fill(socket, &mut length[received.bytes..])?;
    let length = u32::from_be_bytes(length) as usize;
    if received.bytes == 0 || length > LONGEST {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut message = vec![0; length];
    fill(socket, &mut message)?;
    Ok((message, file))
}

fn fill(socket: BorrowedFd<'_>, mut space: &mut [u8]) -> io::Result<()> {
    while !space.is_empty() {
        match read(socket, &mut *space)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => space = &mut space[read..],
        }
    }
    Ok(())
}

fn quietly() -> SendFlags {
    #[cfg(target_os = "linux")]
    return SendFlags::NOSIGNAL;
    #[cfg(not(target_os = "linux"))]
    SendFlags::empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read as _;
    use std::os::fd::AsFd as _;
    use std::os::unix::net::UnixStream;

    #[test]
    fn each_message_arrives_whole_and_the_file_with_its_own() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut written = tempfile::NamedTempFile::new().unwrap();
        io::Write::write_all(&mut written, b"content").unwrap();
        let file = File::open(written.path()).unwrap();
        send(ours.as_fd(), b"first", None).unwrap();
        send(ours.as_fd(), &[b'x'; LONGEST], Some(file.as_fd())).unwrap();
        drop(ours);
        let (first, none) = receive(theirs.as_fd()).unwrap();
        assert_eq!((first.as_slice(), none.is_none()), (&b"first"[..], true));
        let (second, file) = receive(theirs.as_fd()).unwrap();
        let mut content = String::new();
        File::from(file.unwrap()).read_to_string(&mut content).unwrap();
        assert_eq!((second.len(), content.as_str()), (LONGEST, "content"));
        assert!(receive(theirs.as_fd()).is_err());
        assert!(send(theirs.as_fd(), &[0; LONGEST + 1], None).is_err());
    }
}
