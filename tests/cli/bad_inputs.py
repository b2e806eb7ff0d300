"""What can be wrong with what is given to the command line, and what is said then: the table of docs/errors.md.

Commands are given in the folder that ``bad_place`` builds. Run as a script, this prints the page.
"""

from __future__ import annotations

from typing import NamedTuple

from steerage.bundle.zoo import zoo_names


class Case(NamedTuple):
    """Something wrong, a command with it, and the message: its cause and its remedy. BYTES is any number of them."""

    wrong: str
    command: str
    cause: str
    remedy: str


CASES: dict[str, tuple[Case, ...]] = {
    "Data": (
        Case(
            "a file that is not there",
            "synth nope.csv",
            "there is no file or data set 'nope.csv'",
            "did you mean one.csv or nolabel.csv or names.csv?",
        ),
        Case("a name that is almost one", "synth irris", "there is no file or data set 'irris'", "did you mean iris?"),
        Case(
            "a name that is none",
            "synth nonesuch",
            "there is no file or data set 'nonesuch'",
            "data sets that need no file: digits, iris, wine, breast_cancer, diabetes",
        ),
        Case(
            "no name at all",
            "synth ''",
            "there is no file or data set ''",
            "data sets that need no file: digits, iris, wine, breast_cancer, diabetes",
        ),
        Case(
            "an empty folder",
            "inspect photos/empty",
            "folder empty must have one subfolder of images per class, it has nothing",
            "sort the images into such, or name another folder",
        ),
        Case(
            "a folder of other things",
            "synth networks",
            "folder networks must have one subfolder of images per class, it has altered, cut, lacking and 2 more",
            "sort the images into such, or name another folder",
        ),
        Case(
            "a folder in place of an archive",
            "synth foreign",
            "folder foreign must have one subfolder of images per class, it has notes.txt",
            "sort the images into such, or name another folder",
        ),
        Case(
            "an empty file",
            "synth empty.csv",
            "empty.csv must have a header and rows, but it is empty",
            "write the table again",
        ),
        Case(
            "column names alone",
            "synth header.csv",
            "header.csv must have rows, but it has only column names",
            "add rows",
        ),
        Case("one row", "synth row.csv", "row must have at least 10 rows with a label, got 1", "add rows"),
        Case(
            "one class",
            "synth one.csv",
            "target 'kind' must have at least two classes, got only 'round'",
            "choose another target column, or add rows of other classes",
        ),
        Case(
            "no label in any row",
            "synth unlabelled.csv",
            "unlabelled must have at least 10 rows with a label, got 0",
            "add rows",
        ),
        Case(
            "text where a number belongs",
            "synth text.csv --task regression",
            "target 'kind' must be numbers, got 'abc' in row 8",
            "mend the cell, or choose classification",
        ),
        Case(
            "a target that does not vary",
            "synth constant.csv --task regression",
            "target 'kind' must vary, got only 3",
            "choose another target column",
        ),
        Case(
            "an ID and nothing else",
            "synth id.csv",
            "the table must have a column to learn from, got 'id' (another text in every row)",
            "check the target column",
        ),
        Case(
            "a target that is different in every row",
            "synth names.csv",
            "target 'kind' must have few classes, got 40 in 40 rows",
            "choose another target column, or regression if they are quantities",
        ),
        Case(
            "one column",
            "synth alone.csv",
            "alone.csv must have at least two columns, got kind",
            "is the separator odd?",
        ),
        Case(
            "a column name that comes twice",
            "synth twice.csv",
            "twice.csv must have unique column names, got length more than once",
            "rename them",
        ),
        Case(
            "rows of unlike lengths",
            "synth ragged.csv",
            "ragged.csv must have as many cells in every row as in its header, got 5 for 3 in line 42",
            "check the commas",
        ),
        Case(
            "no column names",
            "synth headless.csv",
            "headless.csv must have a header line with column names, got 1.5, 2.5, 3.5",
            "add one",
        ),
        Case("Latin-1", "synth latin.csv", "latin.csv must be text in UTF-8, got other bytes at 32", "convert it"),
        Case("UTF-16", "synth utf16.csv", "utf16.csv must be text in UTF-8, got other bytes at 0", "convert it"),
        Case(
            "bytes that are no text",
            "synth binary.csv",
            "binary.csv must be text in UTF-8, got other bytes at 128",
            "convert it",
        ),
        Case(
            "a cut gzip file",
            "synth cut.csv.gz",
            "cut.csv.gz cannot be read as CSV (Compressed file ended before the end-of-stream marker was reached)",
            "check the file",
        ),
        Case(
            "an unknown ending",
            "synth data.xlsx",
            "data.xlsx must be a folder of images or end in .csv, .csv.gz, .parquet, .npz",
            "convert it to one of these",
        ),
        Case(
            "a damaged parquet file",
            "synth bad.parquet",
            "bad.parquet cannot be read as parquet (Parquet magic bytes not found in footer)",
            "check the file",
        ),
        Case(
            "a target that is absent",
            "synth good.csv --target zz",
            "good.csv has no column 'zz'",
            "it has length, width, kind",
        ),
        Case(
            "a target that is absent among long names",
            "synth wide.csv --target zz",
            "wide.csv has no column 'zz'",
            "it has a column with the rather long name number 0 of them and 30 more",
        ),
        Case(
            "a target named twice",
            "synth good.csv --target kind,kind",
            "the target must name each column once, got 'kind,kind'",
            "leave out the second",
        ),
        Case(
            "all columns as targets",
            "synth good.csv --target length,width,kind",
            "good.csv must have a column besides its targets, got length, width, kind",
            "name fewer",
        ),
        Case(
            "several targets of which one is text",
            "synth good.csv --target length,kind",
            "target 'kind' must be numbers for regression, got 'round'",
            "choose classification",
        ),
        Case(
            "one column as several labels",
            "synth good.csv --task multilabel",
            "target 'kind' must be several columns for multilabel",
            "name them with commas between",
        ),
        Case(
            "a target for a set that has its own",
            "synth iris --target zz",
            "iris comes with a target of its own and has no column 'zz'",
            "leave the target out",
        ),
        Case(
            "a kind that it is not",
            "synth good.csv --kind image",
            "good must be image data as asked, but it is table data",
            "leave the kind out",
        ),
        Case(
            "arrays of other names",
            "synth names.npz",
            "names.npz must have the arrays x_train, y_train (and x_test, y_test together) or x, y",
            "it has features, labels",
        ),
        Case(
            "labels of another number",
            "synth short.npz",
            "x and y must have the same number of rows, got 40 and 30",
            "cut or complete one",
        ),
        Case(
            "pickled objects",
            "synth objects.npz",
            "objects.npz must hold plain arrays, got pickled objects, which can run code when read",
            "save numbers or fixed-width text (dtype float32, int64, str)",
        ),
        Case(
            "pixels that are not finite",
            "synth nan.npz",
            "images must be finite, got NaN or infinity in image 0",
            "remove or mend such images",
        ),
        Case(
            "arrays of five axes",
            "synth axes.npz",
            "x must have 2 axes (a table) or 3 or 4 (images), got shape (40, 2, 2, 2, 2)",
            "reshape it",
        ),
        Case(
            "test signals of another length",
            "synth shorter.npz",
            "x_test must have the channels and the length of x, got (9, 1, 32) and (40, 1, 64)",
            "cut all signals alike",
        ),
        Case(
            "an unknown kind in the archive",
            "synth kind.npz",
            "kind.npz must have one of table, image, signal as its kind, got 'sound'",
            "change it, or leave it out",
        ),
        Case(
            "a damaged archive",
            "synth damaged.npz",
            "damaged.npz cannot be read as npz (File is not a zip file)",
            "check the file",
        ),
        Case(
            "one array in place of an archive",
            "synth array.npz",
            "array.npz must be an archive of named arrays, got one array",
            "save it with np.savez",
        ),
        Case(
            "images of one class",
            "synth photos/onlyone",
            "target must have at least two classes, got only 'a'",
            "choose another target column, or add rows of other classes",
        ),
        Case(
            "images outside of classes",
            "synth photos/none",
            "folder none must have one subfolder of images per class, it has loose.png",
            "sort the images into such, or name another folder",
        ),
        Case(
            "a damaged image",
            "synth photos/damaged",
            "b/07.png must be an image, but is damaged or of an unknown format",
            "mend or remove it",
        ),
        Case(
            "a recording of another length",
            "synth windows",
            "b/05.csv must have 16 rows, as a/00.csv has, got 15",
            "cut recordings into windows of one length",
        ),
        Case(
            "a version that is no number",
            "synth openml:letter@x",
            "openml:letter@x must have a whole number as its version, got 'x'",
            "write NAME or NAME@2",
        ),
        Case(
            "an unknown set of torchvision",
            "synth torchvision:NoSuch",
            "there is no data set 'NoSuch' of torchvision here",
            "known are MNIST, FashionMNIST, KMNIST, CIFAR10, CIFAR100, SVHN",
        ),
        Case(
            "torchvision not installed",
            "synth torchvision:MNIST",
            "torchvision:MNIST needs the package torchvision",
            "install it with pip install 'steerage-nn[vision]'",
        ),
        Case(
            "inspect: a file that is not there",
            "inspect nope.csv",
            "there is no file or data set 'nope.csv'",
            "did you mean one.csv or nolabel.csv or names.csv?",
        ),
        Case(
            "inspect: bytes that are no text",
            "inspect binary.csv",
            "binary.csv must be text in UTF-8, got other bytes at 128",
            "convert it",
        ),
        Case(
            "inspect: a target that is absent",
            "inspect good.csv --target zz",
            "good.csv has no column 'zz'",
            "it has length, width, kind",
        ),
    ),
    "Budgets and effort": (
        Case(
            "too few parameters",
            "synth iris --max-params 5 --epochs 1",
            "max_params=5 cannot be met: the smallest network found needs 38",
            "raise max_params to at least 38",
        ),
        Case(
            "too few MACs",
            "synth iris --max-macs 5 --epochs 1",
            "max_macs=5 cannot be met: the smallest network found needs 19",
            "raise max_macs to at least 19",
        ),
        Case(
            "too little flash",
            "refine my_model.py:Net iris --max-flash 100 --epochs 1",
            "max_flash=100 cannot be met: the smallest network found needs BYTES",
            "raise max_flash to at least BYTES",
        ),
        Case(
            "too little RAM",
            "synth iris --max-ram 10 --epochs 1 --template tiny.py:Tiny",
            "max_ram=10 cannot be met: the smallest network found needs BYTES",
            "raise max_ram to at least BYTES",
        ),
        Case(
            "too little RAM for a network of one's own",
            "refine my_model.py:Net iris --max-ram 10 --epochs 1",
            "max_ram=10 cannot be met: the smallest network found needs BYTES",
            "raise max_ram to at least BYTES",
        ),
        Case(
            "a size that is none",
            "synth iris --max-params lots",
            "--max-params: a size must be a number of at least 1, got 'lots'",
            "write it as 1500, 20k, 1.5M or 32Ki",
        ),
        Case(
            "a size of zero",
            "synth iris --max-params 0",
            "--max-params: a size must be a number of at least 1, got '0'",
            "write it as 1500, 20k, 1.5M or 32Ki",
        ),
        Case(
            "a negative size",
            "synth iris --max-macs -5",
            "--max-macs: a size must be a number of at least 1, got '-5'",
            "write it as 1500, 20k, 1.5M or 32Ki",
        ),
        Case(
            "latency without ONNX Runtime",
            "synth iris --max-latency-ms 1",
            "max_latency_ms needs a device",
            "give onnxruntime (this machine), or a board with a clock",
        ),
        Case(
            "a latency of zero",
            "synth iris --device onnxruntime --max-latency-ms 0",
            "max_latency_ms must be positive, got 0",
            "give milliseconds such as 0.05",
        ),
        Case(
            "a latency that is no number",
            "synth iris --device onnxruntime --max-latency-ms abc",
            "Invalid value for '--max-latency-ms': Input should be a valid number",
            "see steerage synth --help",
        ),
        Case(
            "flash of ONNX Runtime",
            "synth iris --device onnxruntime --max-flash 32k",
            "max_flash, max_ram and max_instructions are of a board's code, and the device is onnxruntime",
            "leave out either",
        ),
        Case(
            "an unknown device",
            "synth iris --device z80",
            "there is no device 'z80'",
            "give a core (cortex-m4, cortex-m3, cortex-m0), a board of docs/devices.md, or FILE.toml:NAME",
        ),
        Case(
            "a name that is almost a device",
            "synth iris --device cortex-m7",
            "there is no device 'cortex-m7'",
            "give cortex-m4 or cortex-m3 or cortex-m0, a board of docs/devices.md, or FILE.toml:NAME",
        ),
        Case(
            "a device file that is not there",
            "synth iris --device nope.toml",
            "nope.toml cannot be read (No such file or directory)",
            "give a TOML file of devices",
        ),
        Case(
            "a device of an unknown core",
            "synth iris --device boards.toml:mine",
            "boards.toml: mine must be a table with a core that is known",
            "set core to one of cortex-m4, cortex-m3, cortex-m0",
        ),
        Case(
            "no time",
            "synth iris --minutes 0",
            "minutes must be positive and finite, got 0",
            "give a number such as 10",
        ),
        Case(
            "negative time",
            "synth iris --minutes -1",
            "minutes must be positive and finite, got -1",
            "give a number such as 10",
        ),
        Case(
            "endless time",
            "synth iris --minutes inf",
            "minutes must be positive and finite, got inf",
            "give a number such as 10",
        ),
        Case(
            "time in words",
            "synth iris --minutes ten",
            "Invalid value for '--minutes': Input should be a valid number",
            "see steerage synth --help",
        ),
        Case(
            "no trials",
            "synth iris --trials 0",
            "trials must be positive and finite, got 0",
            "give a number such as 10",
        ),
        Case(
            "half a trial",
            "synth iris --trials 2.5",
            "Invalid value for '--trials': Input should be a valid integer",
            "see steerage synth --help",
        ),
        Case(
            "no epochs",
            "synth iris --epochs 0",
            "epochs must be positive and finite, got 0",
            "give a number such as 10",
        ),
        Case(
            "no patience",
            "synth iris --patience 0",
            "Invalid value for '--patience': Input should be greater than or equal to 1",
            "see steerage synth --help",
        ),
        Case(
            "a seed that is no number",
            "synth iris --seed x",
            "Invalid value for '--seed': Input should be a valid integer",
            "see steerage synth --help",
        ),
        Case("no jobs", "synth iris --jobs 0", "--jobs must be auto or a positive number, got '0'", "leave it out"),
        Case(
            "jobs in words",
            "synth iris --jobs many",
            "--jobs must be auto or a positive number, got 'many'",
            "leave it out",
        ),
        Case(
            "more jobs than sense",
            "synth iris --jobs 100000 --epochs 1",
            "jobs must be at most 256 on one machine, got 100000",
            "leave it out for auto",
        ),
        Case(
            "Ray not installed",
            "synth iris --ray auto",
            "a cluster needs Ray",
            "install it with pip install 'steerage-nn[ray]'",
        ),
        Case(
            "a loss below nothing",
            "synth iris --max-loss -1",
            "--max-loss must be from 0 to 100 percentage points, got -1",
            "give 0.2, say",
        ),
        Case(
            "a loss of everything",
            "synth iris --max-loss 100",
            "--max-loss must be from 0 to 100 percentage points, got 100",
            "give 0.2, say",
        ),
    ),
    "Names of what there is": (
        Case(
            "an unknown template",
            "synth iris --template huge",
            "there is no template 'huge'",
            "choose one of signal, cnn, mlp, resnet, mobile, or file.py:Class",
        ),
        Case(
            "a template for other data",
            "synth iris --template cnn",
            "template cnn does not take table data",
            "use another --template",
        ),
        Case(
            "a file without that template",
            "synth iris --template my_model.py:Net",
            "my_model.py must define a class Net that extends steerage.templates.Template",
            "see docs/templates.md",
        ),
        Case(
            "a file of a template that is not there",
            "synth iris --template nope.py:Net",
            "nope.py does not exist",
            "give the path of a Python file",
        ),
        Case(
            "a file that fails",
            "synth iris --template broken.py:Net",
            "broken.py fails with ModuleNotFoundError: No module named 'nonsense_that_is_not_there'",
            "mend the file",
        ),
        Case("an unknown scheme", "synth iris --scheme Z", "there is no scheme 'Z'", "choose one of auto, A, B, C"),
        Case(
            "an unknown metric",
            "synth iris --metric accuracy",
            "there is no metric 'accuracy' for classification",
            "choose one of error, balanced_error, f1, auroc",
        ),
        Case(
            "a metric of the other task",
            "synth diabetes --metric f1",
            "there is no metric 'f1' for regression",
            "choose one of r2, rmse, mae",
        ),
        Case(
            "balance without classes",
            "synth diabetes --balance",
            "balance needs classes, and this is regression",
            "leave it out",
        ),
        Case(
            "a table put upright",
            "synth iris --straighten",
            "iris cannot be straightened: it has no images",
            "leave it out",
        ),
        Case(
            "small images put upright",
            "search digits --straighten",
            "digits cannot be straightened: images of 8 x 8 pixels are too small or too large",
            "leave it out",
        ),
        Case(
            "an unknown task",
            "synth iris --task guessing",
            "Invalid value for '--task': 'guessing' is not one of 'classification', 'regression', 'multilabel'",
            "see steerage synth --help",
        ),
        Case(
            "an unknown kind",
            "synth iris --kind sound",
            "Invalid value for '--kind': 'sound' is not one of 'table', 'image', 'signal'",
            "see steerage synth --help",
        ),
        Case(
            "a published network for other data",
            "synth iris --like resnet20",
            "no published network is called 'resnet20' for such data",
            "leave it out: there is none for such data",
        ),
        Case(
            "an unknown published network",
            "synth digits --like resnet9000",
            "no published network is called 'resnet9000' for such data",
            "known are resnet18, resnet34, resnet50, resnet101, resnet20, resnet32 and 4 more",
        ),
        Case(
            "more layers than the template has",
            "synth iris --depth 40 --epochs 1",
            "no candidate of template mlp with 40 layers was found inside the budget",
            "the nearest has 4",
        ),
        Case(
            "candidates smaller than the budget",
            "synth iris --max-expansion 0.5",
            "max_expansion must be at least 1, got 0.5",
            "give 4, say",
        ),
        Case(
            "a front of an unknown cost",
            "search iris --pareto flops",
            "Invalid value for '--pareto': 'flops' is not one of 'params', 'macs'",
            "see steerage search --help",
        ),
        Case(
            "an unknown option",
            "synth iris --zzz",
            "No such option: --zzz",
            "see steerage synth --help",
        ),
        Case(
            "an unknown command", "synht iris", "No such command 'synht'. Did you mean 'synth'", "see steerage --help"
        ),
        Case("nothing to work on", "synth", "Missing argument 'DATA'", "see steerage synth --help"),
        Case(
            "two data sets", "synth iris wine", "Got unexpected extra argument(s) (wine)", "see steerage synth --help"
        ),
    ),
    "Folders": (
        Case(
            "a file as --out",
            "synth iris --epochs 1 --out good.csv",
            "good.csv is a file",
            "choose another folder with --out",
        ),
        Case(
            "--out below a file",
            "synth iris --epochs 1 --out good.csv/run",
            "good.csv/run/.lock cannot be written (Not a directory)",
            "choose a folder that you may write to",
        ),
        Case(
            "a folder whose name ends an address",
            "synth iris --epochs 1 --out what?",
            "what? has a question mark in its path",
            "choose another folder with --out",
        ),
        Case(
            "a folder with other files",
            "synth iris --epochs 1 --out foreign",
            "foreign holds other files (notes.txt)",
            "choose another folder with --out",
        ),
        Case(
            "a run with other options",
            "search good.csv --trials 1 --epochs 2 --out own",
            "own belongs to another run (epochs was 1 and is 2)",
            "choose another folder with --out",
        ),
        Case(
            "a run of other data",
            "search iris --trials 1 --epochs 1 --out own",
            "own belongs to another run (data was good and is iris and 1 more)",
            "choose another folder with --out",
        ),
        Case(
            "a run with another budget",
            "search good.csv --max-params 300 --trials 1 --epochs 1 --out own",
            "own belongs to another run (max_params was None and is 300)",
            "choose another folder with --out",
        ),
        Case(
            "a damaged run",
            "synth iris --epochs 1 --out badrun",
            "badrun/run.json is damaged: it is not JSON (line 1)",
            "restore it or make it again",
        ),
    ),
    "One's own network": (
        Case(
            "refine without a bound",
            "refine my_model.py:Net iris",
            "refine needs to know how far",
            "give --max-params, --max-macs, --max-flash, --max-ram, --device, --max-loss or --front",
        ),
        Case("refine of nothing", "refine", "Missing argument 'NETWORK'", "see steerage refine --help"),
        Case(
            "a module that needs a package",
            "refine broken.py:Net iris --max-params 20",
            "broken.py fails with ModuleNotFoundError: No module named 'nonsense_that_is_not_there'",
            "mend the file",
        ),
        Case(
            "a network that does not fit",
            "refine my_model.py:Narrow iris --max-params 20",
            "the network fails on inputs (4,): a and b must have same reduction dim, but got [1, 4] X [7, 3]",
            "give one that takes them",
        ),
        Case(
            "a network that needs arguments",
            "refine my_model.py:Needy iris --max-params 20",
            "my_model.py:Needy() fails with TypeError: Needy() missing 1 required positional argument: 'width'",
            "it is called without arguments",
        ),
        Case(
            "something else than a network",
            "refine my_model.py:Number iris --max-params 20",
            "my_model.py:Number must return a torch.nn.Module, got int",
            "let it return one",
        ),
        Case(
            "a name that is missing",
            "refine my_model.py:Nope iris --max-params 20",
            "my_model.py must define Nope, a class or function that returns a torch.nn.Module",
            "check the name",
        ),
        Case(
            "a file without a name",
            "refine my_model.py iris --max-params 20",
            "a network of one's own is named as file.py:Net, got 'my_model.py'",
            "add what the file defines",
        ),
        Case(
            "a network that cannot be followed",
            "refine my_model.py:Odd iris --max-params 10 --epochs 1",
            "the network fails on inputs (4,): Tensor.item() cannot be called on meta tensors",
            "give one that takes them",
        ),
        Case(
            "too few parameters for what is fixed",
            "refine my_model.py:Net iris --max-params 2 --epochs 1",
            "max_params=2 cannot be met: the smallest network found needs 38",
            "raise max_params to at least 38",
        ),
        Case(
            "no export",
            "refine good.csv iris --max-params 20",
            "good.csv is damaged, or was not written by torch.export.save (File is not a zip file)",
            "export it again",
        ),
        Case(
            "an export that is not there",
            "refine no.pt2 iris --max-params 20",
            "no.pt2 does not exist",
            "check the path",
        ),
        Case(
            "another archive",
            "refine other.pt2 iris --max-params 20",
            "other.pt2 was not written by torch.export.save",
            "give such a file, file.py:Net, or a network's folder",
        ),
        Case(
            "a network of other data",
            "refine zoo:digits-1500 iris --max-params 20",
            "zoo:digits-1500 is for 10 classes, inputs 1x8x8, and iris has 3 classes, inputs 4",
            "give the data that it was made from",
        ),
        Case(
            "a network of one's own code, not named",
            "refine factory iris --max-params 20",
            "factory/network was made from my_model.py:Net, which is not run unless you ask for it",
            "add --factory my_model.py:Net",
        ),
    ),
    "Networks": (
        Case(
            "no such folder",
            "eval nowhere digits",
            "nowhere does not exist",
            "give the folder of a network or of a run",
        ),
        Case(
            "a folder that is no network",
            "eval foreign digits",
            "foreign/network.json does not exist",
            "check the path",
        ),
        Case(
            "a file that is no network",
            "eval good.csv digits",
            "good.csv is not a folder",
            "give the folder that holds network.json and weights.safetensors",
        ),
        Case(
            "an unfinished run",
            "eval unfinished digits",
            "unfinished has no network yet",
            "give the command of that run again, which goes on with it",
        ),
        Case(
            "an unknown network of the zoo",
            "eval zoo:nope digits",
            "there is no network 'nope' in the zoo",
            f"it has {', '.join(zoo_names())}",
        ),
        Case(
            "weights cut off",
            "eval networks/cut digits",
            "networks/cut/weights.safetensors is damaged: its checksum differs",
            "restore the folder from a copy",
        ),
        Case(
            "a description that was changed",
            "eval networks/altered digits",
            "networks/altered/network.json is damaged: its checksum differs",
            "restore the folder from a copy",
        ),
        Case(
            "a network of a later version",
            "eval networks/later digits",
            "networks/later/network.json has version 99, and steerage 0.1.0 reads 4 and before",
            "update steerage",
        ),
        Case(
            "weights missing",
            "eval networks/lacking digits",
            "networks/lacking/weights.safetensors does not exist",
            "check the path",
        ),
        Case(
            "a description that is no JSON",
            "eval networks/text digits",
            "networks/text/network.json is damaged: it is not JSON (line 1)",
            "restore it or make it again",
        ),
        Case(
            "data that is not there",
            "eval own nope.csv",
            "there is no file or data set 'nope.csv'",
            "did you mean one.csv or nolabel.csv or names.csv?",
        ),
        Case(
            "data of another kind",
            "eval zoo:digits-1500 iris",
            "images must have shape (n, 8, 8, 1) or (n, 1, 8, 8), got (30, 4)",
            "a single image needs a leading axis of 1",
        ),
        Case("data without a column", "eval own narrow.csv", "the table must have the columns width", "it has length"),
        Case(
            "data of an unknown class",
            "eval own square.csv",
            "target 'kind' must have the classes flat, round, got square",
            "check the target column",
        ),
        Case(
            "data without labels",
            "eval own nolabel.csv --part all",
            "nolabel.csv has no labels to compare with",
            "it needs the column 'kind'",
        ),
        Case(
            "text in a column of numbers",
            "eval own words.csv --part all",
            "column 'width' must be numbers, got 'wide' in row 1",
            "mend the cell, or leave it empty for a missing value",
        ),
        Case(
            "a metric of numbers for classes",
            "eval own good.csv --metric r2",
            "there is no metric 'r2' for classification",
            "choose one of error, balanced_error, f1, auroc",
        ),
        Case(
            "a part that is none",
            "eval own good.csv --part some",
            "Invalid value for '--part': 'some' is not one of 'test', 'all'",
            "see steerage eval --help",
        ),
        Case(
            "code of one's own, not named",
            "eval factory iris",
            "factory/network was made from my_model.py:Net, which is not run unless you ask for it",
            "add --factory my_model.py:Net",
        ),
    ),
    "Export, verify, report, doctor": (
        Case(
            "a network that is not there",
            "export nowhere --to onnx",
            "nowhere does not exist",
            "give the folder of a network or of a run",
        ),
        Case("no format", "export own", "Missing option '--to'", "see steerage export --help"),
        Case(
            "an unknown format",
            "export own --to tflite",
            "there is no format 'tflite' to export to",
            "--to takes onnx or c",
        ),
        Case(
            "an option of another format",
            "export own --to onnx --name net",
            "--name, --prefer, --scratch, --softmax and --device are for --to c, not for --to onnx",
            "leave them out",
        ),
        Case(
            "data without integers",
            "export own --to onnx --data good.csv",
            "--data is what --int8 finds the ranges of numbers by",
            "add --int8, or leave it out",
        ),
        Case(
            "integers without data",
            "export own --to onnx --int8",
            "--int8 needs rows to find the ranges of numbers by",
            "give the data that the network is from (--data DATA, or DATA of verify)",
        ),
        Case(
            "integers of other data",
            "export own --to onnx --int8 --data narrow.csv",
            "the table must have the columns width",
            "it has length",
        ),
        Case(
            "a folder in place of a file",
            "export own --to onnx --out foreign",
            "foreign is a folder",
            "give --out the path of a file, such as foreign/network.onnx",
        ),
        Case(
            "a file in the way",
            "export own --to onnx --out good.csv/net.onnx",
            "good.csv is a file and no folder",
            "give --out another path",
        ),
        Case(
            "a file in place of a folder",
            "export own --to c --out good.csv",
            "good.csv is a file",
            "give --out the path of a folder",
        ),
        Case(
            "an unknown preference",
            "export own --to c --prefer beauty",
            "Invalid value for '--prefer': 'beauty' is not one of 'flash', 'speed'",
            "see steerage export --help",
        ),
        Case(
            "verify: a network that is not there",
            "verify nowhere",
            "nowhere does not exist",
            "give the folder of a network or of a run",
        ),
        Case(
            "verify: data that is not there",
            "verify own nope.csv --target host",
            "there is no file or data set 'nope.csv'",
            "did you mean one.csv or nolabel.csv or names.csv?",
        ),
        Case(
            "verify: an unknown target",
            "verify own good.csv --target z80",
            "there is no device 'z80'",
            "give a core (cortex-m4, cortex-m3, cortex-m0), a board of docs/devices.md, or FILE.toml:NAME",
        ),
        Case(
            "verify: data without a column",
            "verify own narrow.csv --target host",
            "the table must have the columns width",
            "it has length",
        ),
        Case(
            "verify: integers without data",
            "verify own --int8 --target host",
            "--int8 needs rows to find the ranges of numbers by",
            "give the data that the network is from (--data DATA, or DATA of verify)",
        ),
        Case(
            "report of a folder that is not there",
            "report nowhere",
            "nowhere is not a run: it has no run.json",
            "give the folder that steerage synth wrote",
        ),
        Case(
            "report of something else",
            "report foreign",
            "foreign is not a run: it has no run.json",
            "give the folder that steerage synth wrote",
        ),
        Case(
            "report of a damaged run",
            "report badrun",
            "badrun/run.json is damaged: it is not JSON (line 1)",
            "restore it or make it again",
        ),
        Case(
            "a place for a page that has one",
            "report own --out all.html",
            "--out is for a page on several runs",
            "that of one is report.html in its folder",
        ),
        Case(
            "comparison with nothing",
            "report own nowhere",
            "nowhere is not a run: it has no run.json",
            "give the folder that steerage synth wrote",
        ),
        Case(
            "a folder in place of a page",
            "report own factory --out foreign",
            "foreign is a folder",
            "give --out the path of a file, such as foreign/comparison.html",
        ),
        Case(
            "an option that doctor lacks",
            "doctor --nonsense",
            "No such option: --nonsense",
            "see steerage doctor --help",
        ),
    ),
}

HEAD = """# Errors

What can be wrong with what you give to the command line, and what it says. Every such message is one
line on stderr: the cause, and after the last semicolon what to do, each in at most 100 characters (what is longer is
shortened in its middle: `STEERAGE_DEBUG=1` shows all of it). The exit code is 2, and nothing is written. The list is
the one that `tests/cli/test_bad_inputs.py` tries, command by command. BYTES stands for a number of them.
"""


def page() -> str:
    """docs/errors.md."""
    lines = [HEAD]
    for section, cases in CASES.items():
        lines += [f"## {section}", "", "| what is wrong | command | message |", "|---|---|---|"]
        lines += [
            f"| {case.wrong} | {_code(case.command)} | {_code(f'{case.cause}; {case.remedy}')} |" for case in cases
        ]
        lines.append("")
    return "\n".join(lines)


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")
