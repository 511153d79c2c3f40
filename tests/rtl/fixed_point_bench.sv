// Drives every requantizer in integers with the same vectors, one a clock, at four widths each. A vector, as hexadecimal
// digits: valid (8 bits); for lane 0 and lane 1 sum (64), bias (32), shift (8) and factor (32); for values of 4, 1, 8
// and 16 bits zero point, low and high (32 each). A narrower sum is the low bits of its field, a factor the high ones
// of its, right below the shift. Every second kind has totals that are narrower than the accumulators.
//
// Every clock leaves a line behind: for every requantizer, in the order of g_unit, valid and overflows (8 bits each),
// and the values of lane 0 and lane 1 (16 each).
module fixed_point_bench;
    localparam int LANE = 64 + 32 + 8 + 32;
    localparam int SETTINGS = 3 * 32;
    localparam int WIDTHS = 4;
    localparam int VECTOR = 8 + 2 * LANE + WIDTHS * SETTINGS;
    localparam int KINDS = 10;
    localparam int UNITS = KINDS * WIDTHS;
    localparam int UNIT = 8 + 8 + 2 * 16;
    localparam int LATENCY = 4;

    reg clk = 0, reset = 1;
    reg [VECTOR-1:0] vector = 0;
    // $fscanf into `vector` itself would not wake what hangs on it in Verilator 5.006; an assignment does.
    reg [VECTOR-1:0] upcoming = 0;
    wire [UNITS*UNIT-1:0] results;

    genvar u;
    generate
        for (u = 0; u < UNITS; u = u + 1) begin : g_unit
            localparam int WHICH = u % WIDTHS;
            localparam int SUM_BITS = WHICH == 0 ? 8 : WHICH == 1 ? 20 : WHICH == 2 ? 32 : 64;
            localparam int VALUE_BITS = WHICH == 0 ? 4 : WHICH == 1 ? 1 : WHICH == 2 ? 8 : 16;
            // As KINDS in test_fixed_point_requantizer.py.
            localparam int KIND = u / WIDTHS;
            localparam int TOTAL_BITS = KIND % 2 == 0 || WHICH == 0 ? SUM_BITS : SUM_BITS * 3 / 4;
            localparam bit TWICE = KIND < 2;
            localparam int FACTOR_BITS = KIND < 4 ? 31 : KIND == 4 ? 15 : KIND < 7 ? 7 : 0;
            localparam int ROUNDING = KIND == 7 ? 3 : KIND == 8 ? 0 : (KIND == 1 || KIND == 3 || KIND == 6 || KIND == 9)
                ? 1 : 2;
            wire [SETTINGS-1:0] settings = vector[(WIDTHS-1-WHICH)*SETTINGS+:SETTINGS];
            wire [LANE-1:0] lane_0 = vector[WIDTHS*SETTINGS+LANE+:LANE];
            wire [LANE-1:0] lane_1 = vector[WIDTHS*SETTINGS+:LANE];
            wire [2*VALUE_BITS-1:0] values;
            wire [2:0] overflows;
            wire valid;
            sa_requantizer #(
                .LANES           (2),
                .ACCUMULATOR_BITS(SUM_BITS),
                .TOTAL_BITS      (TOTAL_BITS),
                .SCALE_BITS      (6 + FACTOR_BITS),
                .VALUE_BITS      (VALUE_BITS),
                .SATURATE        (1'(WHICH % 2)),
                .FLOAT32         (1'b0),
                .ROUNDING        (ROUNDING),
                .TWICE           (TWICE)
            ) unit (
                .clk          (clk),
                .reset        (reset),
                .valid_in     (vector[VECTOR-8]),
                .sums         ({lane_1[72+:SUM_BITS], lane_0[72+:SUM_BITS]}),
                .biases       ({lane_1[40+:32], lane_0[40+:32]}),
                .scales       ({lane_1[32-FACTOR_BITS+:6+FACTOR_BITS], lane_0[32-FACTOR_BITS+:6+FACTOR_BITS]}),
                .zero_point   (settings[64+:VALUE_BITS+1]),
                .low          (settings[32+:VALUE_BITS+1]),
                .high         (settings[0+:VALUE_BITS+1]),
                .by_thresholds(1'b0),
                .thresholds   ({(2 * TOTAL_BITS){1'b0}}),
                .beyond       (2'b0),
                .falling      (2'b0),
                .valid_out    (valid),
                .values       (values),
                .overflows    (overflows)
            );
            assign results[(UNITS-1-u)*UNIT+:UNIT] = {
                8'(valid), 8'(overflows), 16'(values[0+:VALUE_BITS]), 16'(values[VALUE_BITS+:VALUE_BITS])
            };
        end
    endgenerate

    integer source, sink, found;
    string path;
    initial begin
        found = $value$plusargs("vectors=%s", path);
        source = $fopen(path, "r");
        found = $value$plusargs("results=%s", path);
        sink = $fopen(path, "w");
        // What claims to be valid during reset leaves nothing behind.
        vector[VECTOR-8] = 1;
        repeat (LATENCY) begin
            #1 clk = 1;
            #1 clk = 0;
        end
        reset = 0;
        found = $fscanf(source, "%h", upcoming);
        while (found == 1) begin
            vector = upcoming;
            #1 clk = 1;
            #1 clk = 0;
            $fdisplay(sink, "%h", results);
            found = $fscanf(source, "%h", upcoming);
        end
        $fclose(sink);
        $finish;
    end
endmodule
