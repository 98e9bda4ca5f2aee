//! COFF objects made byte by byte: what no compiler writes.

/// An object that is being made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Object {
    pub(crate) sections: Vec<Section>,
    pub(crate) symbols: Vec<Symbol>,
}

#[derive(Debug, Clone)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) characteristics: u32,
    pub(crate) contents: Vec<u8>,
    /// Place, symbol's record, kind.
    pub(crate) relocations: Vec<(u32, u32, u16)>,
    /// What the header says of their number instead.
    pub(crate) count: Option<u16>,
}

/// A symbol of a name of at most eight bytes, with a further record or without.
#[derive(Debug, Clone)]
pub(crate) struct Symbol {
    pub(crate) name: &'static str,
    pub(crate) value: u32,
    pub(crate) section: i16,
    pub(crate) class: u8,
    pub(crate) further: Option<[u8; 18]>,
}

pub(crate) const CODE: u32 = 0x6050_0020;
pub(crate) const COMDAT: u32 = 0x1000;
pub(crate) const DATA: u32 = 0xc030_0040;
pub(crate) const DIRECTIVES: u32 = 0x10_0a00;
pub(crate) const EXTERNAL: u8 = 2;
pub(crate) const STATIC: u8 = 3;
pub(crate) const WEAK: u8 = 105;

impl Section {
    pub(crate) fn new(name: &'static str, characteristics: u32, contents: &[u8]) -> Self {
        Self { name, characteristics, contents: contents.to_vec(), relocations: Vec::new(), count: None }
    }
}

impl Object {
    /// An object of one section of code, a `ret`, and what `text` says to the linker.
    pub(crate) fn new(directives: &str) -> Self {
        let mut object = Self::default();
        object.sections.push(Section::new(".text", CODE, &[0xc3, 0, 0, 0, 0, 0, 0, 0]));
        object.sections.push(Section::new(".drectve", DIRECTIVES, directives.as_bytes()));
        object
    }

    /// Adds a symbol; returns the number of its record.
    pub(crate) fn symbol(&mut self, name: &'static str, section: i16, class: u8) -> u32 {
        self.record(Symbol { name, value: 0, section, class, further: None })
    }

    /// Adds a weak external that stands for the symbol with a record, with a search characteristic.
    pub(crate) fn weak(&mut self, name: &'static str, fallback: u32, search: u32) -> u32 {
        let mut further = [0; 18];
        further[..4].copy_from_slice(&fallback.to_le_bytes());
        further[4..8].copy_from_slice(&search.to_le_bytes());
        self.record(Symbol { name, value: 0, section: 0, class: WEAK, further: Some(further) })
    }

    /// Adds the symbol of a COMDAT section itself, which says how to choose and what it goes with.
    pub(crate) fn comdat(&mut self, section: i16, selection: u8, parent: u16) -> u32 {
        let mut further = [0; 18];
        further[12..14].copy_from_slice(&parent.to_le_bytes());
        further[14] = selection;
        self.record(Symbol { name: "comdat", value: 0, section, class: STATIC, further: Some(further) })
    }

    pub(crate) fn record(&mut self, symbol: Symbol) -> u32 {
        let number = self.records();
        self.symbols.push(symbol);
        number
    }

    fn records(&self) -> u32 {
        self.symbols.iter().map(|symbol| 1 + u32::from(symbol.further.is_some())).sum()
    }

    pub(crate) fn build(&self) -> Vec<u8> {
        let start = 20 + 40 * self.sections.len();
        let (mut headers, mut contents) = (Vec::new(), Vec::new());
        for section in &self.sections {
            let mut name = section.name.as_bytes().to_vec();
            name.resize(8, 0);
            headers.extend(name);
            let at = start + contents.len();
            let relocations = at + section.contents.len();
            for field in [0, 0, section.contents.len(), at, relocations, 0] {
                headers.extend((field as u32).to_le_bytes());
            }
            headers.extend(section.count.unwrap_or(section.relocations.len() as u16).to_le_bytes());
            headers.extend([0; 2]);
            headers.extend(section.characteristics.to_le_bytes());
            contents.extend(&section.contents);
            for (place, symbol, kind) in &section.relocations {
                contents.extend(place.to_le_bytes());
                contents.extend(symbol.to_le_bytes());
                contents.extend(kind.to_le_bytes());
            }
        }
        let mut bytes = [0x8664_u16.to_le_bytes(), (self.sections.len() as u16).to_le_bytes()].concat();
        for field in [0, (start + contents.len()) as u32, self.records(), 0] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend(headers);
        bytes.extend(contents);
        for symbol in &self.symbols {
            let mut name = symbol.name.as_bytes().to_vec();
            name.resize(8, 0);
            bytes.extend(name);
            bytes.extend(symbol.value.to_le_bytes());
            bytes.extend(symbol.section.to_le_bytes());
            bytes.extend([0, 0, symbol.class, u8::from(symbol.further.is_some())]);
            bytes.extend(symbol.further.unwrap_or_default().iter().filter(|_| symbol.further.is_some()));
        }
        bytes.extend(4_u32.to_le_bytes());
        bytes
    }
}
