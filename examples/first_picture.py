"""From nothing to a drawn picture, in this process. Usage: python examples/first_picture.py [PICTURE]"""

import sys

from yolo9000 import Detector

# 1. Load the embedded model. It takes a second; keep the detector.
detector = Detector()
print(detector)

# 2. Find the objects.
picture = sys.argv[1] if len(sys.argv) > 1 else "docs/dog.jpg"
result = detector.detect(picture)
for found in result:
    print(f"{found.name:25} {found.score:.2f}  {' > '.join(step.name for step in found.path[-4:])}")

# 3. Ask again, only for animals, and with more general names.
animals = detector.concepts.search("animal")[0]
general = detector.detect(picture, under=animals.wnid, hierarchy_threshold=0.9)
print("animals, if it has to be 90 % sure:", [found.name for found in general])

# 4. Draw.
result.draw("drawn.jpg")
print("see drawn.jpg")
