"""The fields of a JSON answer: which first? Whatever their order, the record comes back byte for byte.

Run it: python examples/json_fields.py FOLDER
"""

import json
import random
import sys
from pathlib import Path

from mireorder import Fields, Order, apply, check, fit

CITIES = {"Oslo": "NO", "Bergen": "NO", "Lyon": "FR", "Paris": "FR", "Porto": "PT"}

folder, draw = Path(sys.argv[1]), random.Random(0)
folder.mkdir(parents=True, exist_ok=True)
rows = []
for _ in range(2000):
    city, nights, price = draw.choice(sorted(CITIES)), draw.randint(1, 9), draw.randint(50, 200)
    booking = {"total": nights * price, "country": CITIES[city], "city": city, "nights": nights}
    rows.append({"mail": f"{nights} nights in {city}, {price} a night", "booking": booking})
(folder / "bookings.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

plan = fit(
    str(folder / "bookings.jsonl"), source="mail", target="booking", cutter=Fields(), order=Order("min", "pairwise")
)
apply(str(folder / "bookings.jsonl"), plan, out=folder / "reordered")
print("every row comes back:", check(folder / "reordered").ok)
print(plan)

natural = json.dumps(rows[0]["booking"])
emitted = plan.emit(natural, source=rows[0]["mail"])
print(f"the model learns to write {emitted}\nrestored, that is {plan.restore(emitted).text}")
