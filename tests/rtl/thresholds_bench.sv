// Drives a lane that compares, one total a clock. A vector, as hexadecimal digits: total (64 bits), 15 thresholds (64
// each, the first one lowest), which of them are beyond (16), falling (8), and what no threshold makes (32). A narrower
// port takes the low bits of its field. Every clock leaves a value behind.
module thresholds_bench #(
    parameter int TOTAL_BITS = 8,
    parameter int VALUE_BITS = 4,
    parameter int THRESHOLDS = 15
);
    localparam int MOST = 15;
    localparam int VECTOR = 64 + MOST * 64 + 16 + 8 + 32;

    reg clk = 0;
    reg [VECTOR-1:0] vector = 0;
    // $fscanf into `vector` itself would not wake what hangs on it in Verilator 5.006; an assignment does.
    reg [VECTOR-1:0] upcoming = 0;
    // The lane wants it two clocks behind the total.
    reg [VALUE_BITS:0] lowest_1 = 0, lowest_2 = 0;
    always @(posedge clk) {lowest_1, lowest_2} <= {vector[VALUE_BITS:0], lowest_1};

    wire [THRESHOLDS*TOTAL_BITS-1:0] thresholds;
    genvar i;
    generate
        for (i = 0; i < THRESHOLDS; i = i + 1) begin : g_threshold
            assign thresholds[i*TOTAL_BITS+:TOTAL_BITS] = vector[56+i*64+:TOTAL_BITS];
        end
    endgenerate

    wire [VALUE_BITS-1:0] value;
    sa_requantize_thresholds #(
        .TOTAL_BITS(TOTAL_BITS),
        .VALUE_BITS(VALUE_BITS),
        .THRESHOLDS(THRESHOLDS)
    ) lane (
        .clk       (clk),
        .total     (vector[56+MOST*64+:TOTAL_BITS]),
        .thresholds(thresholds),
        .beyond    (vector[40+:THRESHOLDS]),
        .falling   (vector[32]),
        .lowest    (lowest_2),
        .value     (value)
    );

    integer source, sink, found;
    string path;
    initial begin
        found = $value$plusargs("vectors=%s", path);
        source = $fopen(path, "r");
        found = $value$plusargs("results=%s", path);
        sink = $fopen(path, "w");
        found = $fscanf(source, "%h", upcoming);
        while (found == 1) begin
            vector = upcoming;
            #1 clk = 1;
            #1 clk = 0;
            $fdisplay(sink, "%0d", value);
            found = $fscanf(source, "%h", upcoming);
        end
        $fclose(sink);
        $finish;
    end
endmodule
