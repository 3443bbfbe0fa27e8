package handover

import (
	"slices"
	"strings"
	"testing"
)

func TestFromCSV(t *testing.T) {
	for text, want := range map[string]string{
		"ada\nbob\n":               "ada bob",
		"user_id\nada\nbob":        "ada bob",
		"\ufeffuser_id\r\nada\r\n": "ada",
		"place,user_id,coupon_id\n1,bob,tea\n2,ada,tea\n": "bob ada",
		"\"a, b\"\n\"보람\"\n":                              "a, b 보람",
		"\ufeff\"user_id\"\n\"ada\"\n":                    "ada",
		"Place, USER_ID\n1,ada\n":                         "ada",
		"User_Id\n\nada\n\r\n\nbob\n":                     "ada bob",
		"":                                                "",
	} {
		got, err := FromCSV(strings.NewReader(text), false)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestFromCSV_Bad(t *testing.T) {
	for text, want := range map[string]string{
		"ada\nbob\nada\n":                      `line 3: "ada" is in line 1 already`,
		"place,name\n1,ada\n":                  "line 1: the first row of 2 columns must name one of them user_id",
		"user_id\nada\nb\tob\n":                `line 3: user id "b\tob"`,
		"user_id,n\nada,1\nbob\n":              "record on line 3: wrong number of fields",
		"ada\n\"bob\n":                         `extraneous or missing "`,
		"user_id\n" + strings.Repeat("x", 201): "line 2: user id",
		"user_id\n\"\"\n":                      `line 2: user id ""`,
		"user_id;place\nada;1\n":               `line 1: "user_id;place" names user_id among others: columns are separated by commas`,
		"user_id,place,user_id\nada,1,bob\n":   "line 1: two columns are called user_id",
		"place,user_id\n1, ada\n":              `line 2: user id " ada": there is white space around it; --spaces-belong takes it as it is`,
		"ada\n   \nbob\n":                      `line 2: user id "   ": there is white space around it`,
		"\xff\xfeu\x00\n":                      `line 1: user id "\xff\xfeu\x00"`,
	} {
		if got, err := FromCSV(strings.NewReader(text), false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v; want %s", text, got, err, want)
		}
	}
}

// White space that is said to be the id's stays, as strategies and pipeline have it.
func TestFromCSV_SpacesBelong(t *testing.T) {
	want := []string{" ada", "ada", "   ", "bob "}
	if got, err := FromCSV(strings.NewReader("place, user_id\n1, ada\n2,ada\n3,   \n4,bob \n"), true); err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func FuzzFromCSV(f *testing.F) {
	f.Add("place,user_id\n1,ada\n")
	f.Add("ada\nbob\n\"a, b\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		people, err := FromCSV(strings.NewReader(text), false)
		sorted := slices.Clone(people)
		slices.Sort(sorted)
		if err != nil && people != nil || len(slices.Compact(sorted)) != len(people) {
			t.Errorf("%q, %v", people, err)
		}
	})
}
