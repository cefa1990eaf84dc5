use super::*;

/// Text of which some comes again, near and far.
fn text(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut text = Vec::with_capacity(length + 20);
    while text.len() < length {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        text.extend_from_slice(format!("word {} ", (state >> 33) % 5000).as_bytes());
    }
    text.truncate(length);
    text
}

/// Feeds `data` in steps and takes what comes.
fn run(work: Work, data: &[u8], length: Option<u64>, room: u64) -> io::Result<Vec<u8>> {
    let out = Out::new(room);
    let mut codec = codec(work, length, out.clone())?;
    let mut result = Vec::new();
    for step in data.chunks(10_000) {
        codec.write(step)?;
        result.extend(out.take());
    }
    codec.finish()?;
    result.extend(out.take());
    Ok(result)
}

fn coded(coding: ContentCoding, data: &[u8]) -> Vec<u8> {
    let length = Some(data.len() as u64);
    run(Work::Code(coding), data, length, u64::MAX).unwrap()
}

#[test]
fn what_was_coded_decodes_to_the_same_whether_its_length_was_known_or_not() {
    for coding in ContentCoding::PREFERRED {
        for length in [0, 1, 1000, 70_000, 3_000_000] {
            let text = text(length);
            for known in [Some(length as u64), None] {
                let coded = run(Work::Code(coding), &text, known, u64::MAX).unwrap();
                if length > 1000 {
                    assert!(coded.len() * 2 < length, "{coding:?}: {}", coded.len());
                }
                let back = run(Work::Decode(coding), &coded, None, length as u64).unwrap();
                assert!(back == text, "{coding:?} {length} {known:?}");
            }
        }
    }
}

#[test]
fn content_that_is_cut_broken_or_followed_by_something_ends_in_an_error() {
    for coding in ContentCoding::PREFERRED {
        let whole = coded(coding, &text(50_000));
        let decode = |data: &[u8]| run(Work::Decode(coding), data, None, u64::MAX);
        assert!(decode(&whole).is_ok());
        for cut in [1, whole.len() / 2, whole.len() - 1] {
            assert!(decode(&whole[..cut]).is_err(), "{coding:?} cut at {cut}");
        }
        assert!(decode(b"<html>not coded</html>").is_err(), "{coding:?}");
        let longer = [&whole[..], b"<html>"].concat();
        assert!(decode(&longer).is_err(), "{coding:?}: something behind it");
    }
}

#[test]
fn no_more_comes_out_than_may() {
    for coding in ContentCoding::PREFERRED {
        let bomb = coded(coding, &vec![0; 8_000_000]);
        assert!(bomb.len() < 20_000, "{coding:?}: {}", bomb.len());
        let decode = |room| run(Work::Decode(coding), &bomb, None, room);
        assert!(decode(8_000_000).is_ok(), "{coding:?}");
        assert!(decode(7_999_999).is_err(), "{coding:?}");
        assert!(decode(100_000).is_err(), "{coding:?}");
    }
}

#[test]
fn a_window_that_no_client_need_take_is_refused() {
    // RFC 7932 has no window of 2^30 bytes: the first bytes of a "large window" stream
    let large = [0x11, 0x1e, 0, 0, 0];
    assert!(run(Work::Decode(ContentCoding::Brotli), &large, None, u64::MAX).is_err());
    // RFC 9659 §3; a frame's head with a window of 16 MiB: exponent 14, mantissa 0
    let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 14 << 3, 0x01, 0x00, 0x00];
    let inside = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 13 << 3, 0x01, 0x00, 0x00];
    let decode = |data: &[u8]| run(Work::Decode(ContentCoding::Zstd), data, None, u64::MAX);
    assert!(decode(&frame).is_err());
    assert_eq!(decode(&inside).unwrap(), b"");
}

#[test]
fn what_one_step_gives_is_bounded_however_much_was_coded_before_it() {
    let most = u64::from(DECODED_STEP_MEBIBYTES) << 20;
    for coding in ContentCoding::PREFERRED {
        let bomb = coded(coding, &vec![0; 32 << 20]);
        // as after much that was coded to little less
        let out = Out::new(0);
        out.allow(1 << 40, most);
        let mut codec = codec(Work::Decode(coding), None, out.clone()).unwrap();
        let written = codec.write(&bomb).and_then(|()| codec.finish());
        assert!(written.is_err(), "{coding:?}");
        assert!(out.take().len() as u64 <= most);
    }
}
