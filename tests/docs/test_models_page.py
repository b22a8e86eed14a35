"""The fine-tuned model of docs/models.md and docs/ci.md: the commands and the test run as they stand."""

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import resnet18

from advtool import InputError
from tests.cli.support import call
from tests.docs.test_ci_page import PYTHON
from tests.docs.test_docs import commands
