//! A font made of one glyph, for tests of which session has which fonts.

/// A TrueType font of this family, in which `x` is a block as large as the letter may be: no
/// other font draws it so.
pub fn block(family: &str) -> Vec<u8> {
    let glyph = block_glyph();
    let half = u16::try_from(glyph.len() / 2).expect("it is small");
    let tables: [(&[u8; 4], Vec<u8>); 8] = [
        (b"cmap", cmap()),
        (b"glyf", glyph),
        (b"head", head()),
        (b"hhea", hhea()),
        // An advance and a bearing for each of two glyphs.
        (b"hmtx", words(&[1000, 0, 1000, 0])),
        // The first glyph, for what is missing, is empty.
        (b"loca", words(&[0, 0, half])),
        (b"maxp", maxp()),
        (b"name", name(family)),
    ];
    let mut font = 0x0001_0000_u32.to_be_bytes().to_vec();
    font.extend(words(&[8, 128, 3, 0]));
    let mut offset = font.len() + 16 * tables.len();
    let mut bodies = Vec::new();
    for (tag, body) in tables {
        font.extend(tag);
        // The sum is not checked.
        for number in [0, offset, body.len()] {
            font.extend(u32::try_from(number).expect("it is small").to_be_bytes());
        }
        let padding = body.len().next_multiple_of(4) - body.len();
        offset += body.len() + padding;
        bodies.extend(body);
        bodies.extend(vec![0; padding]);
    }
    font.extend(bodies);
    font
}

fn words(words: &[u16]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// Characters to glyphs: `x` to the second.
fn cmap() -> Vec<u8> {
    let x = u16::from(b'x');
    let mut cmap = words(&[0, 1, 3, 1, 0, 12]);
    // Format 4, in two segments, the last of which is empty.
    cmap.extend(words(&[4, 32, 0, 4, 4, 1, 0]));
    cmap.extend(words(&[x, 0xffff, 0, x, 0xffff]));
    cmap.extend(words(&[1_u16.wrapping_sub(x), 1, 0, 0]));
    cmap
}

/// One contour of four points.
fn block_glyph() -> Vec<u8> {
    let minus = |distance: u16| 0_u16.wrapping_sub(distance);
    let mut glyph = words(&[1, 0, 0, 1000, 800, 3, 0]);
    glyph.extend([1; 4]);
    glyph.extend(words(&[0, 0, 1000, 0]));
    glyph.extend(words(&[0, 800, 0, minus(800)]));
    glyph
}

fn head() -> Vec<u8> {
    let mut head = words(&[1, 0, 1, 0, 0, 0, 0x5f0f, 0x3cf5, 0, 1000]);
    // When it was made and changed.
    head.extend([0; 16]);
    head.extend(words(&[0, 0, 1000, 800, 0, 8, 2, 0, 0]));
    head
}

fn hhea() -> Vec<u8> {
    let descent = 0_u16.wrapping_sub(200);
    let mut hhea = words(&[1, 0, 800, descent, 0, 1000, 0, 0, 1000, 1, 0, 0]);
    hhea.extend(words(&[0, 0, 0, 0, 0, 2]));
    hhea
}

fn maxp() -> Vec<u8> {
    words(&[1, 0, 2, 4, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
}

/// The names of the family, of its style, and of the font.
fn name(family: &str) -> Vec<u8> {
    let compact = family.replace(' ', "");
    let names = [(1, family), (2, "Regular"), (4, family), (6, &compact)];
    let encoded = names.map(|(id, text)| (id, words(&text.encode_utf16().collect::<Vec<_>>())));
    let storage = 6 + 12 * encoded.len();
    let short = |number: usize| u16::try_from(number).expect("it is small");
    let mut name = words(&[0, short(encoded.len()), short(storage)]);
    let mut texts = Vec::new();
    for (id, text) in encoded {
        let (length, offset) = (short(text.len()), short(texts.len()));
        name.extend(words(&[3, 1, 0x409, id, length, offset]));
        texts.extend(text);
    }
    name.extend(texts);
    name
}
