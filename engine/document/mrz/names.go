package mrz

import "strings"

// transliterations are the recommended ones of Doc 9303-3, section 6.A, for
// Latin letters. Where the document allows two, the longer is first.
var transliterations = map[rune][]string{
	'Á': {"A"}, 'À': {"A"}, 'Â': {"A"}, 'Ä': {"AE", "A"}, 'Ã': {"A"}, 'Ă': {"A"}, 'Å': {"AA", "A"}, 'Ā': {"A"}, 'Ą': {"A"},
	'Ć': {"C"}, 'Ĉ': {"C"}, 'Č': {"C"}, 'Ċ': {"C"}, 'Ç': {"C"}, 'Đ': {"D"}, 'Ď': {"D"}, 'Ð': {"D", "DH"},
	'É': {"E"}, 'È': {"E"}, 'Ê': {"E"}, 'Ë': {"E"}, 'Ě': {"E"}, 'Ė': {"E"}, 'Ē': {"E"}, 'Ę': {"E"}, 'Ĕ': {"E"}, 'Ə': {"E"},
	'Ĝ': {"G"}, 'Ğ': {"G"}, 'Ġ': {"G"}, 'Ģ': {"G"}, 'Ħ': {"H"}, 'Ĥ': {"H"},
	'Í': {"I"}, 'Ì': {"I"}, 'Î': {"I"}, 'Ï': {"I"}, 'Ĩ': {"I"}, 'İ': {"I"}, 'Ī': {"I"}, 'Į': {"I"}, 'Ĭ': {"I"}, 'ı': {"I"},
	'Ĵ': {"J"}, 'Ķ': {"K"}, 'Ł': {"L"}, 'Ĺ': {"L"}, 'Ľ': {"L"}, 'Ļ': {"L"}, 'Ŀ': {"L"},
	'Ń': {"N"}, 'Ñ': {"N", "NXX"}, 'Ň': {"N"}, 'Ņ': {"N"}, 'Ŋ': {"N"},
	'Ó': {"O"}, 'Ò': {"O"}, 'Ô': {"O"}, 'Ö': {"OE", "O"}, 'Õ': {"O"}, 'Ő': {"O"}, 'Ō': {"O"}, 'Ŏ': {"O"}, 'Ø': {"OE", "O"}, 'Ơ': {"O"},
	'Ŕ': {"R"}, 'Ř': {"R"}, 'Ŗ': {"R"}, 'Ś': {"S"}, 'Ŝ': {"S"}, 'Š': {"S"}, 'Ş': {"S"}, 'Ș': {"S"},
	'Ť': {"T"}, 'Ţ': {"T"}, 'Ț': {"T"}, 'Ŧ': {"T"}, 'Þ': {"TH"},
	'Ú': {"U"}, 'Ù': {"U"}, 'Û': {"U"}, 'Ü': {"UE", "U", "UXX"}, 'Ũ': {"U"}, 'Ŭ': {"U"}, 'Ű': {"U"}, 'Ů': {"U"}, 'Ū': {"U"}, 'Ų': {"U"}, 'Ư': {"U"},
	'Ŵ': {"W"}, 'Ý': {"Y"}, 'Ŷ': {"Y"}, 'Ÿ': {"Y"}, 'Ź': {"Z"}, 'Ž': {"Z"}, 'Ż': {"Z"},
	'Æ': {"AE"}, 'Œ': {"OE"}, 'Ĳ': {"IJ"}, 'ß': {"SS"}, 'ẞ': {"SS"},
}

// Transliterate writes a name with the letters of an MRZ: A-Z, and spaces for
// what separates names. Letters of other scripts are left out.
func Transliterate(name string) string { return fold(name, 0) }

// Foldings gives the ways in which a name may have been transliterated: with
// the recommended letters and with the shorter ones.
func Foldings(name string) []string {
	long, short := fold(name, 0), fold(name, 1)
	if long == short {
		return []string{long}
	}
	return []string{long, short}
}

func fold(name string, choice int) string {
	var b strings.Builder
	for _, r := range strings.ToUpper(name) {
		switch {
		case r >= 'A' && r <= 'Z':
			b.WriteRune(r)
		case r == ' ' || r == '-' || r == '<' || r == ',':
			b.WriteByte(' ')
		default:
			if t := transliterations[r]; len(t) > 0 {
				b.WriteString(t[min(choice, len(t)-1)])
			}
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
