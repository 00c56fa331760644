from app.engine.captions import captions, label_text

HESITATED = [("car", 0.412), ("truck", 0.38), ("bus", 0.1)]


def test_a_label_alone() -> None:
    assert label_text("beagle", []) == "beagle"
    assert captions("beagle", 0.871, []) == ("beagle 0.87",)


def test_a_label_and_what_it_hesitates_between() -> None:
    assert label_text("vehicle", HESITATED) == "vehicle: car .41, truck .38, bus .10"


def test_captions_from_long_to_short() -> None:
    assert captions("vehicle", 0.9, HESITATED[:2]) == (
        "vehicle 0.90: car .41, truck .38",
        "vehicle 0.90: car .41",
        "vehicle 0.90",
    )
